"""AMX's kernels: our real machine code against the integer reference, every code.

Where the machine has no AMX, its instructions are emulated (`amx_emulator.c`), and the emulator
refuses what a real CPU would refuse.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm.target import codegen

from hardware.kernels.compiling.limit import limit_arguments, limit_kernel, limit_products
from hardware.kernels.families.amx import AMX
from hardware.kernels.planning import products
from hardware.kernels.schedule.schedule import candidates
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Matrices
from quant.integer import run_op
from tests.hardware.kernels.amx.amx_bench import AmxBench, guarded
from tests.hardware.kernels.single_op import codes_of, dense_of, make_layer, product_of
from tests.hardware.kernels.test_schedules import extreme, scheduled, schedules_of

few = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
widths = st.integers(2, 8)
dtypes = st.sampled_from(["uint8", "int16", "float32"])
PLAIN: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
POINT = PLAIN | {"padding": (0, 0)}


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return {
        "batch": draw(st.sampled_from([1, 2])),
        "size": (draw(st.integers(4, 7)), draw(st.integers(5, 39))),
        "groups": groups,
        "channels": groups * draw(st.integers(1, 70)),
        "out_channels": groups * draw(st.integers(1, 70)),
        "kernel": (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "stride": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "dilation": (1, draw(st.sampled_from([1, 1, 2]))),
        "bits": (draw(widths), draw(widths)),
        "out_dtype": draw(dtypes),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@few
@given(case=convolutions())
def test_convolutions_agree(case: dict[str, Any], amx: AmxBench) -> None:
    rng = np.random.default_rng(case["seed"])
    shape = (case["out_channels"], *case["kernel"], case["channels"] // case["groups"])
    codes = 2 ** case["bits"][1]
    op = make_layer(
        rng,
        shape,
        case["bits"],
        out_dtype=case["out_dtype"],
        zero_point=int(rng.integers(0, codes)),
        **{name: case[name] for name in ("stride", "padding", "dilation", "groups")},
    )
    x = rng.integers(0, codes, (case["batch"], *case["size"], case["channels"]), dtype=np.uint8)
    amx.agrees(op, x, out_dtype=case["out_dtype"])


@few
@given(
    rows=st.integers(1, 40),
    features=st.integers(1, 210),
    out_features=st.integers(1, 70),
    bits=st.tuples(widths, widths),
    out_dtype=dtypes,
    seed=st.integers(0, 2**32 - 1),
)
def test_matrix_products_agree(
    rows: int,
    features: int,
    out_features: int,
    bits: tuple[int, int],
    out_dtype: str,
    seed: int,
    amx: AmxBench,
) -> None:
    op, x = dense_of((rows, features, out_features), bits, out_dtype, seed)
    amx.agrees(op, x, out_dtype=out_dtype)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_codes_are_summed_in_32_bits(sign: int, amx: AmxBench) -> None:
    op = make_layer(np.random.default_rng(0), (37, 3, 3, 130), (8, 8), **PLAIN)
    x = np.full((1, 5, 17, 130), 255, np.uint8)
    amx.agrees(extreme(op, sign), x, out_dtype="float32")


def _target(mcpu: str) -> Any:
    return tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "mtriple": "x86_64-linux-gnu"})


def _has_amx(mcpu: str) -> bool:
    return bool(codegen.llvm_cpu_has_features("amx-int8", _target(mcpu)))


CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    # Input shape, weight shape, settings.
    "tokens": ((1, 1, 37, 72), (96, 1, 1, 72), POINT),
    "images of 3x3 windows": ((2, 7, 14, 33), (40, 3, 3, 33), PLAIN),
    "a stem": ((1, 30, 30, 3), (16, 7, 7, 3), PLAIN | {"stride": (2, 2), "padding": (3, 3)}),
    "groups": ((1, 6, 19, 40), (64, 3, 3, 20), PLAIN | {"groups": 2}),
    "dense": ((19, 150), (45, 150), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_shape_of_tiles_is_exact(case: str, amx: AmxBench) -> None:
    shape, weight_shape, settings = CASES[case]
    rng = np.random.default_rng(list(CASES).index(case))
    op = make_layer(rng, weight_shape, (8, 8), out_dtype="int16", zero_point=101, **settings)
    x = rng.integers(0, 256, shape, dtype=np.uint8)
    found = schedules_of(amx, extreme(op, 1), x)
    assert len(found) > 1
    for schedule in found:
        with scheduled(amx, lambda *_, one=schedule: one):
            amx.agrees(op, x, out_dtype="int16")


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_read_or_written_beyond_its_tensors(case: str, amx: AmxBench) -> None:
    shape, weight_shape, settings = CASES[case]
    rng = np.random.default_rng(7)
    op = make_layer(rng, weight_shape, (7, 8), out_dtype="uint8", zero_point=3, **settings)
    x = rng.integers(0, 256, shape, dtype=np.uint8)
    expected = run_op(op, x).astype(np.uint8)
    found = amx.run_guarded(op, [x], expected.shape, "uint8")
    assert np.array_equal(found, expected)


def test_widths_share_one_kernel(amx: AmxBench) -> None:
    op = make_layer(np.random.default_rng(1), (32, 64), (2, 2))
    x = np.zeros((8, 64), np.uint8)
    layers = [replace(op, weight_bits=bits, activation_bits=bits) for bits in (2, 5, 8)]
    plans = [amx.plan(layer, [x], (8, 32), "uint8") for layer in layers]
    assert len({plan.symbol for plan in plans}) == 1
    assert plans[0].family == "amx"
    assert plans[0].key["kernel"] == "amx"


def test_pixels_are_cut_evenly() -> None:
    layer = Geometry(batch=1, height=56, width=56, channels=64, out_channels=64)
    found = candidates(layer, AMX)
    assert (found[0].tile_rows, found[0].tile_columns, found[0].tile_vectors) == (1, 28, 2)
    assert len(found) <= 12
    for schedule in found:
        assert schedule.steps(layer) == 16  # one step of 64 codes, each four in a row of weights
        assert schedule.tile_rows * schedule.tile_columns <= 32


@pytest.mark.parametrize(
    ("matrices", "bits", "points"),
    [
        (Matrices(groups=3, rows=17, depth=20, columns=17, turned=True), (8, 8), (131, 128)),
        (Matrices(groups=2, rows=19, depth=70, columns=33, turned=True), (8, 8), (131, 7)),
        (Matrices(groups=2, rows=6, depth=33, columns=20, turned=False), (8, 8), (3, 255)),
        (Matrices(groups=3, rows=33, depth=70, columns=40, turned=False), (8, 5), (0, 16)),
        (Matrices(groups=1, rows=9, depth=197, columns=64, turned=False), (2, 3), (1, 0)),
        (Matrices(groups=2, rows=5, depth=3, columns=2, turned=True), (8, 7), (255, 3)),
    ],
)
def test_products_of_two_tensors_agree(
    matrices: Matrices,
    bits: tuple[int, int],
    points: tuple[int, int],
    amx: AmxBench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(products, "matrices_family", lambda *_: AMX)
    op = product_of(matrices, bits, points, wide=True)
    left, right = codes_of(op, batch=2)
    amx.agrees(op, left, right, out_dtype="int16")
    smallest = np.zeros_like(right) if points[1] else np.full_like(right, 2 ** bits[1] - 1)
    amx.agrees(op, np.full_like(left, 2 ** bits[0] - 1), smallest, out_dtype="int16")


def test_every_product_of_the_limit_is_computed(amx: AmxBench) -> None:
    codes, weights, lookup, sums = limit_arguments(AMX)
    assert codes is not None
    assert weights is not None
    assert sums is not None
    assert lookup is None
    module = tvm.IRModule({"limit": limit_kernel("limit", AMX)})
    built = tvm.tirx.build(module, amx.target.tvm_target())
    made = guarded(sums)
    tensors = (guarded(np.full_like(codes, 2)), guarded(np.full_like(weights, -1)), made)
    with amx.running():
        built["limit"](*(tvm.runtime.from_dlpack(one) for one in tensors))
    assert int(made.astype(np.int64).sum()) == -2 * limit_products(AMX)


EVERY_CPU = [
    name for name in sorted(codegen.llvm_get_cpu_archlist(_target("x86-64"))) if _has_amx(name)
]


@pytest.mark.parametrize("mcpu", EVERY_CPU)
def test_every_tile_keeps_its_part(mcpu: str, amx: AmxBench) -> None:
    """LLVM sees eight equal registers; renaming one would give it another tile's size."""
    op = make_layer(np.random.default_rng(1), (16, 224), (8, 8))
    plan = amx.plan(op, [np.zeros((15, 224), np.uint8)], (15, 16), "uint8")
    module = tvm.IRModule({"layer": plan.build("layer")})
    text = str(tvm.tirx.build(module, _target(mcpu)).inspect_source("asm"))
    loaded = re.findall(r"tileloadd\s.*%tmm(\d)$", text, re.MULTILINE)
    multiplied = re.findall(r"tdpbusd\s+%tmm(\d), %tmm(\d), %tmm(\d)$", text, re.MULTILINE)
    assert len(multiplied) >= 4
    assert set(loaded) == {"4", "6"}
    assert set(multiplied) == {("6", "4", "0")}
