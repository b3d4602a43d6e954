"""Strided 3x3 convolutions in phases: which layers get them, and that their kernels are exact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.family import Family
from hardware.kernels.families.transformed import fits_bytes, largest_product
from hardware.kernels.planning import layers
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transformed_codes import TILES
from hardware.runtime.loader import Bundle
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.integer import run_graph
from tests.hardware.graphs import GraphBuilder
from tests.hardware.kernels.single_op import Bench, make_layer
from tests.hardware.kernels.test_layers import few
from tests.hardware.kernels.test_winograd import check
from tests.hardware.kernels.transformed.extreme_places import CONV, extreme_places, sums_of
from tests.hardware.runtime.bundles import make_bundle

GEOMETRY = Geometry(
    batch=1,
    height=28,
    width=28,
    channels=128,
    out_channels=256,
    kernel=(3, 3),
    stride=(2, 2),
    padding=(1, 1),
)
PAIRS = list(product(range(2, 9), range(2, 9)))
SIX_BITS = [bits for bits in PAIRS if max(bits) <= 6]
"""Pairs whose transformed codes and weights fit bytes."""
STRIDED = CONV | {"stride": (2, 2)}


def in_phases(*layer: Any) -> Family:
    """Return the family that works in phases where one is exact, whatever pays."""
    phases = (one for one in family_choices(*layer) if one.tiles == "strided")
    return next(phases, choose_family(*layer))


@contextmanager
def phases(bench: Bench) -> Iterator[None]:
    """Have a bench work in phases wherever that is exact."""
    bench.family = in_phases
    try:
        yield
    finally:
        bench.family = choose_family


@pytest.mark.parametrize("kind", ["avx512-vnni", "avx-vnni", "arm-dot"])
@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_dot_products_take_pairs_of_six_bits(kind: Any, bits: tuple[int, int]) -> None:
    family = choose_family(kind, *bits, GEOMETRY)
    assert (family.tiles == "strided") == (bits in SIX_BITS)
    assert family.winograd == ("winograd-strided" in family.name)
    assert fits_bytes(*bits, 128, "strided", family.code_form) == (bits in SIX_BITS)
    assert not choose_family(kind, *bits, GEOMETRY, "none").winograd


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_short_sums_take_those_that_hold_a_few_steps(bits: tuple[int, int]) -> None:
    names = {}
    for kind in ("avx2", "neon"):
        family = choose_family(kind, *bits, GEOMETRY)
        names[kind] = family.name
        if family.winograd and family.depth:
            most = 2 * largest_product(*bits, "strided", family.code_form)
            assert family.depth * most <= 32767
    largest = (2 ** (bits[0] - 1) - 1) * (2 ** bits[1] - 1)
    words = 2 * largest > 32767
    depth = 0 if words else 32767 // (8 * largest)
    # Tables are faster, and so are direct sums of bytes that are deeper.
    is_table = bits[0] == 2 and bits[1] <= 3
    assert ("strided" in names["neon"]) == (bits in SIX_BITS and not is_table)
    in_bytes = bits in SIX_BITS and depth >= 4 and not is_table
    assert ("strided" in names["avx2"]) == (in_bytes or words), names["avx2"]


def test_small_outputs_and_few_channels_are_not_transformed() -> None:
    def tiles(**changes: Any) -> str:
        return choose_family("avx512-vnni", 4, 4, replace(GEOMETRY, **changes)).tiles

    assert tiles() == tiles(height=56, width=56, channels=32, out_channels=64) == "strided"
    # Four rows of tiles for seven of outputs; four tiles; few channels; another stride.
    for changes in (
        {"height": 14, "width": 14},
        {"height": 8, "width": 8},
        {"channels": 24},
        {"stride": (1, 2)},
        {"stride": (3, 3)},
        {"dilation": (2, 2)},
    ):
        assert tiles(**changes) == ""


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "batch": draw(st.sampled_from([1, 1, 3])),
        "size": (draw(st.integers(7, 19)), draw(st.integers(7, 19))),
        "channels": draw(st.integers(16, 80)),
        "out_channels": draw(st.integers(16, 80)),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "stride": (2, 2),
        "bits": draw(st.sampled_from([*SIX_BITS, (8, 8), (7, 7)])),
        "out_dtype": draw(st.sampled_from(["uint8", "int16", "float32"])),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@settings(few, max_examples=4)
@given(case=convolutions())
def test_convolutions_agree(case: dict[str, Any], bench: Bench) -> None:
    with phases(bench):
        check(case, bench)


@pytest.mark.slow
@settings(few, max_examples=40)
@given(case=convolutions())
def test_many_convolutions_agree(case: dict[str, Any], bench: Bench) -> None:
    with phases(bench):
        check(case, bench)


@pytest.mark.parametrize("bits", [(6, 6), (4, 4), (2, 6), (6, 2)])
def test_no_place_overflows(bits: tuple[int, int], bench: Bench) -> None:
    op, x = extreme_places(TILES["strided"], bits, 72)
    with phases(bench):
        family = bench.plan(op, [x], (len(x), 4, 4, op.weight.shape[0]), "float32").family
        assert "strided" in family or bench.target.family == "generic"
        bench.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [(6, 6), (5, 5), (8, 8)])
def test_the_largest_sums_fit(bits: tuple[int, int], sign: int, bench: Bench) -> None:
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 512), bits, **STRIDED)
    op = sums_of(op, np.array(sign * (2 ** (bits[0] - 1) - 1)))
    x = np.full((1, 9, 10, 512), 2 ** bits[1] - 1, np.uint8)
    with phases(bench):
        bench.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_network_agrees_on_threads_and_in_a_bundle(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_SHARED_PRODUCTS", 1)  # every layer, however small
    build = GraphBuilder(4)
    first = build.conv(build.image(3, 12, 16), 40, bits=(8, 8), out_bits=4, zero_point=1)
    graph = build.graph(build.conv(first, 52, stride=2, bits=(4, 4)), "strided")
    config = TargetConfig(kernel_cache=str(tmp_path / "kernels"), threads=threads)
    # Building compares with the reference.
    report = Workbench(config, batch=2).build(graph)
    names = list(report.families.values())
    assert "strided" in names[-1] or KernelTarget.of(config).family == "generic"
    if threads == 1:
        folder = make_bundle(graph, tmp_path / "bundle", tmp_path / "kernels")
        images = np.random.default_rng(1).random((3, 3, 12, 16), np.float32)
        found = Bundle(str(folder)).run(images)
        np.testing.assert_array_equal(found, run_graph(graph, images))
