"""Winograd kernels: which layers get one, and that every intermediate keeps within its bounds."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.avx2 import Avx2Bytes
from hardware.kernels.families.family import Family
from hardware.kernels.families.transformed import largest_product
from hardware.kernels.planning import layers
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import Schedule, candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.tile_2x2 import TILE_2X2
from hardware.kernels.shapes.transform import TileGrid
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.deploy_graph import Conv2d, DeployGraph, Epilogue, Linear
from tests.hardware.graphs import GraphBuilder
from tests.hardware.kernels.single_op import Bench, make_layer
from tests.hardware.kernels.test_layers import few

CONV: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
GEOMETRY = Geometry(
    batch=1, height=28, width=28, channels=64, out_channels=64, kernel=(3, 3), padding=(1, 1)
)
PAIRS = list(product(range(2, 9), range(2, 9)))
EXACT = [bits for bits in PAIRS if bits[0] <= 4 and bits[1] <= 6]
"""Pairs whose transformed codes and weights fit bytes."""
WORDS = [bits for bits in PAIRS if bits not in EXACT]
"""Pairs whose transformed codes and weights take 16 bits."""


def extreme(op: Conv2d | Linear, weight: np.ndarray) -> Conv2d:
    """Return a layer with these weights whose sums come out as they are."""
    assert isinstance(op, Conv2d)
    channels = op.weight.shape[0]
    epilogue = Epilogue(
        bias=np.zeros(channels, np.int32), multiplier=np.ones(channels, np.float32), logits=True
    )
    weight = np.broadcast_to(weight, op.weight.shape).astype(np.int8)
    return replace(op, weight=weight, epilogue=epilogue, input_zero_point=0)


@pytest.mark.parametrize("kind", ["avx2", "avx512-vnni", "avx-vnni"])
@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_pairs_are_transformed_to_bytes_where_those_fit(kind: Any, bits: tuple[int, int]) -> None:
    family = choose_family(kind, *bits, GEOMETRY)
    # With dot-product instructions, sums of bytes cost no more than those of transformed words.
    assert family.winograd == (bits in EXACT or kind == "avx2")
    assert ("winograd" in family.name) == family.winograd
    if family.winograd:
        assert (family.code_dtype, family.weight_dtype) == (
            ("uint8", "int8") if bits in EXACT else ("int16", "int16")
        )
    if family.winograd and isinstance(family, Avx2Bytes):
        pair = 2 * largest_product(*bits, "2x2", "uint8")
        assert 1 <= family.depth <= 32767 // pair


@pytest.mark.parametrize(
    "geometry",
    [
        replace(GEOMETRY, stride=(1, 2)),
        replace(GEOMETRY, dilation=(2, 1)),
        replace(GEOMETRY, groups=2),
        replace(GEOMETRY, kernel=(3, 1)),
        replace(GEOMETRY, kernel=(5, 5)),
        replace(GEOMETRY, channels=8),
        replace(GEOMETRY, out_channels=8),
        replace(GEOMETRY, height=1),
        replace(GEOMETRY, height=3, width=3),  # a third of the tiles would be outside
        replace(GEOMETRY, height=2, width=2),  # every weight would be used once
        replace(GEOMETRY, channels=1_000_000),  # sums would not fit 32 bits
    ],
)
def test_other_shapes_are_not(geometry: Geometry) -> None:
    for kind in ("avx2", "avx512-vnni"):
        for bits in (4, 8):
            assert not choose_family(kind, bits, bits, geometry).winograd


def test_the_faster_the_direct_kernel_the_less_is_transformed() -> None:
    few = replace(GEOMETRY, channels=16)
    assert [bits for bits in range(2, 9) if choose_family("avx2", bits, bits, few).winograd] == [
        6,
        7,
        8,
    ]
    # Four rows of tiles for seven of outputs.
    odd = replace(GEOMETRY, height=7, width=7)
    assert [bits for bits in range(2, 9) if choose_family("avx2", bits, bits, odd).winograd] == [
        3,
        4,
        8,
    ]
    # Four times the outputs would not fit 32 bits.
    assert choose_family("avx2", 8, 8, replace(GEOMETRY, channels=1841)).winograd
    many = replace(GEOMETRY, channels=1842)
    assert choose_family("avx2", 7, 7, many).winograd
    assert not choose_family("avx2", 8, 8, many).winograd


@pytest.mark.parametrize(
    ("transform", "transformed"),
    [("words", [2, 3, 4, 5, 6, 7, 8]), ("bytes", [2, 3, 4]), ("none", [])],
)
def test_layers_are_transformed_as_far_as_the_target_says(
    transform: Any, transformed: list[int], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, "avx2", transform)
    rng, found = np.random.default_rng(0), []
    for bits in range(2, 9):
        op = make_layer(rng, (32, 3, 3, 32), (bits, bits), **CONV)
        plan = bench.plan(op, [np.zeros((1, 8, 8, 32), np.uint8)], (1, 8, 8, 32), "uint8")
        found += [bits] if "winograd" in plan.family else []
    assert found == transformed
    vnni = choose_family("avx512-vnni", 4, 4, GEOMETRY, transform)
    assert vnni.winograd == (transform != "none")


def test_the_family_for_every_target_transforms_nothing() -> None:
    assert not choose_family("generic", 4, 4, GEOMETRY).winograd


@pytest.mark.parametrize("kind", ["neon", "arm-dot"])
@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_arm_transforms_to_signed_bytes_where_those_fit(kind: Any, bits: tuple[int, int]) -> None:
    family = choose_family(kind, *bits, GEOMETRY)
    assert family.winograd == (bits in EXACT)
    assert not choose_family(kind, *bits, GEOMETRY, "none").winograd
    if family.winograd:
        assert family.code_form == "int8"
        # A lane of 16 bits gets two products of each step.
        most = 2 * largest_product(*bits, family.tiles, "int8")
        assert family.depth * most <= 32767


@pytest.mark.parametrize("bits", WORDS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_neon_transforms_to_words_where_a_model_says_so(bits: tuple[int, int]) -> None:
    large = replace(GEOMETRY, channels=128, out_channels=128)
    assert choose_family("neon", *bits, large).name == "neon-winograd-w8"
    assert "winograd" not in choose_family("neon", *bits, large, "bytes").name
    for other in (GEOMETRY, replace(large, height=7, width=7), replace(large, stride=(2, 2))):
        assert choose_family("neon", *bits, other).name != "neon-winograd-w8"
    assert not choose_family("arm-dot", *bits, large).winograd


@pytest.mark.parametrize(
    "bits", [*EXACT, (8, 8), (2, 8), (8, 2)], ids=lambda bits: f"w{bits[0]}a{bits[1]}"
)
def test_no_place_overflows(bits: tuple[int, int], avx2: Bench) -> None:
    """Each image makes one place's codes extreme, and each output channel one place's weights."""
    largest_code, largest_weight = 2 ** bits[1] - 1, 2 ** (bits[0] - 1) - 1
    images, kernels = [], []
    for row, column in product(range(4), range(4)):
        signs = np.outer(TILE_2X2.codes[row], TILE_2X2.codes[column])
        kernel = np.where(np.outer(TILE_2X2.weights[row], TILE_2X2.weights[column]) < 0, -1, 1)
        images += [signs > 0, signs < 0]
        kernels += [kernel, -kernel]
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 136), bits, **CONV | {"padding": (0, 0)})
    op = extreme(op, largest_weight * np.array(kernels)[..., None])
    windows = np.pad(np.array(images), ((0, 0), (0, 2), (0, 2)), "wrap")
    x = np.broadcast_to((largest_code * windows)[..., None], (32, 6, 6, 136))
    assert avx2.plan(op, [x], (32, 4, 4, 32), "float32").family.startswith("avx2-winograd")
    avx2.agrees(op, x.astype(np.uint8), out_dtype="float32")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [(4, 4), (4, 6), (2, 2), (8, 8)])
def test_the_largest_sums_fit(bits: tuple[int, int], sign: int, bench: Bench) -> None:
    # With 8 bits, four times the outputs nearly fill 32 bits.
    channels = 1841 if bits == (8, 8) else 256
    op = make_layer(np.random.default_rng(0), (32, 3, 3, channels), bits, **CONV)
    op = extreme(op, np.array(sign * (2 ** (bits[0] - 1) - 1)))
    x = np.full((1, 6, 6, channels), 2 ** bits[1] - 1, np.uint8)
    bench.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (9, 12)])
@pytest.mark.parametrize(
    ("kind", "bits"),
    [("avx2", 8), ("avx2", 5), ("avx2", 4), ("avx2", 2), ("auto", 4)],
)
def test_weights_that_the_kernel_transforms_agree(
    kind: Any,
    bits: int,
    size: tuple[int, int],
    shared: bool,
    avx2: Bench,
    auto: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def schedule(geometry: Geometry, family: Family) -> Schedule:
        # One vector of channels in a block: several blocks, the last of them moved back.
        one = next(one for one in candidates(geometry, family) if one.tile_vectors == 1)
        return replace(one, transforms_weights=family.winograd)

    bench = {"avx2": avx2, "auto": auto}[kind]
    monkeypatch.setattr(bench, "schedule", schedule)
    monkeypatch.setattr(layers, "is_shared", lambda *_: shared)
    rng = np.random.default_rng(0)
    # Neither channels nor output channels are a multiple of what a step or a vector takes.
    op = make_layer(rng, (41, 3, 3, 51), (bits, bits), zero_point=1, **CONV)
    x = rng.integers(0, 2**bits, (2, *size, 51), dtype=np.uint8)
    family = bench.plan(op, [x], (2, *size, 41), "uint8").family
    assert "winograd" in family or bench.target.family not in ("avx2", "avx512-vnni", "avx-vnni")
    bench.agrees(op, x, out_dtype="uint8")


def test_weights_that_outgrow_the_cache_are_transformed_by_the_kernel() -> None:
    def transforms(bits: int, channels: int, side: int) -> set[bool]:
        geometry = replace(
            GEOMETRY, channels=channels, out_channels=channels, height=side, width=side
        )
        family = choose_family("avx2", bits, bits, geometry)
        assert family.winograd
        return {one.transforms_weights for one in candidates(geometry, family) if one.group_tiles}

    assert transforms(4, 64, 8) == transforms(8, 64, 8) == {False}
    assert transforms(4, 256, 8) == {False}
    assert transforms(8, 256, 8) == transforms(4, 512, 7) == {True}
    assert transforms(4, 512, 5) == {False}  # nine tiles
    # With several groups of tiles, weights would be transformed several times.
    assert False in transforms(8, 256, 28)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "batch": draw(st.sampled_from([1, 1, 3])),
        "size": (draw(st.integers(4, 13)), draw(st.integers(5, 13))),
        "channels": draw(st.integers(32, 100)),
        "out_channels": draw(st.integers(32, 100)),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "bits": draw(st.one_of(st.sampled_from(EXACT), st.sampled_from(WORDS))),
        "out_dtype": draw(st.sampled_from(["uint8", "int16", "float32"])),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@settings(few, max_examples=5)
@given(case=convolutions())
def test_convolutions_agree(case: dict[str, Any], avx2: Bench) -> None:
    check(case, avx2)


@settings(few, max_examples=3)
@given(case=convolutions())
def test_convolutions_of_the_fastest_family_agree(case: dict[str, Any], auto: Bench) -> None:
    check(case, auto)


@pytest.mark.slow
@settings(few, max_examples=60)
@given(case=convolutions())
def test_many_convolutions_agree(case: dict[str, Any], bench: Bench) -> None:
    check(case, bench)


def check(case: dict[str, Any], bench: Bench) -> None:
    """Compare one layer with the reference."""
    rng = np.random.default_rng(case["seed"])
    codes = 2 ** case["bits"][1]
    op = make_layer(
        rng,
        (case["out_channels"], 3, 3, case["channels"]),
        case["bits"],
        out_dtype=case["out_dtype"],
        zero_point=int(rng.integers(0, codes)),
        **CONV | {"padding": case["padding"], "stride": case.get("stride", (1, 1))},
    )
    x = rng.integers(0, codes, (case["batch"], *case["size"], case["channels"]), dtype=np.uint8)
    bench.agrees(op, x, out_dtype=case["out_dtype"])


def residual(bits: tuple[int, int]) -> DeployGraph:
    """Two transformed layers with a residual addition, of odd sizes and channels."""
    build = GraphBuilder(bits[0])
    narrow = build.conv(build.image(3, 11, 13), 40, bits=(8, 8), out_bits=bits[1], zero_point=1)
    wide = build.conv(narrow, 52, 1, bits=bits, wide=True)
    branch = build.conv(narrow, 36, bits=bits, out_bits=bits[1], zero_point=2)
    total = build.add(build.conv(branch, 52, bits=bits, wide=True), wide)
    last = build.conv(build.requantize(total, bits[1], 1), 32, bits=bits, out_bits=8)
    return build.graph(last, "residual")


@pytest.mark.parametrize(
    ("bits", "dot_product", "threads"),
    [
        ((4, 4), False, 3),
        pytest.param((4, 4), True, 1, marks=pytest.mark.slow),
        pytest.param((4, 4), True, 3, marks=pytest.mark.slow),
        pytest.param((3, 3), False, 1, marks=pytest.mark.slow),
        pytest.param((4, 6), False, 2, marks=pytest.mark.slow),
        ((8, 8), False, 2),
    ],
)
def test_residual_networks_agree(
    bits: tuple[int, int],
    dot_product: bool,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "_SHARED_PRODUCTS", 1)  # every layer, however small
    config = TargetConfig(kernel_cache=str(tmp_path), threads=threads, dot_product=dot_product)
    # Building compares with the reference.
    report = Workbench(config, batch=2).build(residual(bits))
    found = [name for name in report.families.values() if "winograd" in name]
    # The first layer's image has 8 bits, and three channels.
    assert len(found) == 3 or KernelTarget.of(config).family not in ("avx2", "avx512-vnni")


@pytest.mark.parametrize("kind", ["avx2", "avx512-vnni"])
def test_every_group_of_tiles_covers_the_image(kind: Any) -> None:
    for size in (*range(6, 33), 56, 112):
        geometry = replace(GEOMETRY, height=size, width=size + 1)
        family = choose_family(kind, 4, 4, geometry)
        tiles = TileGrid.of(geometry, TILE_2X2).tiles
        for schedule in candidates(geometry, family):
            groups = -(-tiles // schedule.group_tiles)
            assert 1 <= schedule.group_tiles <= tiles
            assert (groups - 1) * schedule.group_tiles < tiles
            assert groups * schedule.group_tiles <= 1.1 * tiles
            assert schedule.panels == schedule.tile_rows == 1
            if family.depth:
                steps = schedule.chunk_iterations * schedule.inside_positions
                assert steps <= family.depth
