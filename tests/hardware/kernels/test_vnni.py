"""The dot-product families of x86: their instructions, and that no width needs a copy.

`test_layers` proves those exact that this machine can run. AVX-VNNI is only read as assembly: what
runs here is the same code with AVX-512's encoding of its instructions.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tvm

from hardware.errors import TargetError
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.vnni import AVX512_VNNI, AVX_VNNI, Vnni
from hardware.kernels.families.vnni_packed import packed_vnni
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_history import never_run
from hardware.kernels.schedule.copying import needs_copy
from hardware.kernels.schedule.schedule import candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily, TargetConfig
from quant.integer import run_op
from tests.hardware.kernels.single_op import Bench, make_layer

both = pytest.mark.parametrize("family", [AVX512_VNNI, AVX_VNNI], ids=lambda family: family.name)
CONV: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
GEOMETRY = Geometry(
    batch=1, height=28, width=28, channels=64, out_channels=64, kernel=(3, 3), stride=(2, 2)
)
"""Strided, so that no family transforms it (see `test_winograd`)."""


def _assembly(mcpu: str) -> str:
    """Return the machine code of a convolution for a CPU that need not be this one."""
    bench = Bench("unused")
    bench.target = KernelTarget.of(TargetConfig(mcpu=mcpu), "x86_64-linux-gnu")
    op = make_layer(np.random.default_rng(0), (64, 3, 3, 64), (8, 8), **CONV)
    plan = bench.plan(op, [np.zeros((1, 14, 14, 64), np.uint8)], (1, 14, 14, 64), "uint8")
    module = tvm.IRModule({"layer": plan.build("layer")})
    return str(tvm.tirx.build(module, bench.target.tvm_target()).inspect_source("asm"))


def _bench_of(kind: KernelFamily, folder: Path) -> Bench:
    """Return a bench of one family; AVX-VNNI's code gets AVX-512's encoding, to run here."""
    try:
        bench = Bench(folder, "avx512-vnni")
    except TargetError as error:
        pytest.skip(str(error))
    bench.target = replace(bench.target, family=kind)
    return bench


def _shape(op: Any, x: np.ndarray) -> tuple[int, ...]:
    return tuple(run_op(op, x).shape)


def test_avx_vnni_is_encoded_without_avx512() -> None:
    text = _assembly("alderlake")
    multiplies = re.findall(r"^\s*(.*vpdpbusd.*)$", text, re.MULTILINE)
    assert multiplies
    assert all(line.startswith("{vex}") and "%ymm" in line for line in multiplies)
    assert "%zmm" not in text
    assert not re.search(r"%[xy]mm(1[6-9]|2\d|3[01])", text)  # registers of AVX-512


def test_avx512_vnni_uses_whole_registers() -> None:
    text = _assembly("cascadelake")
    multiplies = re.findall(r"vpdpbusd.*", text)
    assert multiplies
    assert all("%zmm" in line for line in multiplies)
    assert re.search(r"vpackuswb.*%zmm", text)  # codes of several vectors are packed together


def test_the_code_of_avx_vnni_computes_what_the_reference_does(kernel_folder: Path) -> None:
    bench = _bench_of("avx-vnni", kernel_folder)
    rng = np.random.default_rng(3)
    for out_dtype, channels in (("uint8", 21), ("int16", 64), ("float32", 7)):
        op = make_layer(
            rng, (channels, 3, 3, 13), (8, 8), out_dtype=out_dtype, zero_point=9, **CONV
        )
        x = rng.integers(0, 256, (2, 9, 11, 13), dtype=np.uint8)
        plan = bench.plan(op, [x], (2, 9, 11, channels), out_dtype)
        assert plan.family == "avx-vnni"
        bench.agrees(op, x, out_dtype=out_dtype)


@pytest.mark.parametrize("kind", ["avx512-vnni", "avx-vnni"])
@pytest.mark.parametrize("bits", [(4, 8), (3, 7), (2, 8), (2, 2)])
def test_few_bits_are_packed_where_a_layer_waits_for_memory(
    kind: KernelFamily, bits: tuple[int, int], kernel_folder: Path
) -> None:
    bench = _bench_of(kind, kernel_folder)
    rng = np.random.default_rng(4)
    largest = 2 ** (bits[0] - 1) - 1
    op = make_layer(rng, (37, 333), bits, out_dtype="float32", zero_point=1)
    extreme = rng.choice(np.array([-largest, largest], np.int8), (37, 333))
    for weight in (op.weight, extreme, np.full_like(extreme, -largest)):
        layer = replace(op, weight=weight)
        x = rng.integers(0, 2 ** bits[1], (1, 333), dtype=np.uint8)
        bench.agrees(layer, x, out_dtype="float32")
        bench.agrees(layer, np.full_like(x, 2 ** bits[1] - 1), out_dtype="float32")
    plan = bench.plan(op, [x], (1, 37), "float32")
    assert plan.family == f"{kind}-p{2 if bits[0] == 2 else 4}"
    bytes_of_weights = plan.constants[0].nbytes
    whole = bench.plan(replace(op, weight_bits=8), [x], (1, 37), "float32")
    assert whole.family == kind
    assert bytes_of_weights < whole.constants[0].nbytes / (3.5 if bits[0] == 2 else 1.8)


def test_packed_sums_stay_in_32_bits() -> None:
    family = packed_vnni(AVX512_VNNI, 2)
    deepest = 2**31 // (64 * 255 * 2)  # two's complement: a weight of -2 is not excluded here
    assert family.fits(deepest // family.products)
    assert not family.fits(deepest // family.products + 1)
    long = Geometry(batch=1, height=1, width=1, channels=70_000, out_channels=16)
    assert choose_family("avx512-vnni", 2, 8, long) == AVX512_VNNI


@pytest.mark.parametrize("channels", [16, 24, 64, 72, 128])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 4)])
def test_depthwise_sums_of_four_rows_at_a_time(
    channels: int, kernel: tuple[int, int], kernel_folder: Path
) -> None:
    bench = _bench_of("avx512-vnni", kernel_folder)
    rng = np.random.default_rng(5)
    conv = CONV | {"groups": channels, "stride": (1, 2), "dilation": (1, 1 + kernel[0] % 2)}
    op = make_layer(rng, (channels, *kernel, 1), (8, 8), zero_point=200, **conv)
    x = rng.integers(0, 256, (1, 9, 14, channels), dtype=np.uint8)
    bench.agrees(op, x, out_dtype="uint8")
    extreme = replace(op, weight=np.full_like(op.weight, -127), input_zero_point=0)
    bench.agrees(extreme, np.full_like(x, 255), out_dtype="uint8")
    plan = bench.plan(op, [x], _shape(op, x), "uint8")
    assert plan.family == "avx512-vnni-depthwise"


@both
def test_no_width_needs_another_family_or_a_copy(family: Vnni) -> None:
    kind = cast(KernelFamily, family.name)
    for weight_bits in range(2, 9):
        for activation_bits in range(2, 9):
            chosen = choose_family(kind, weight_bits, activation_bits, GEOMETRY)
            assert chosen == family
            assert chosen.depth == 0  # 32 bits hold every sum
    assert not needs_copy(GEOMETRY, family)


@both
def test_a_tile_leaves_room_for_weights_and_codes(family: Vnni) -> None:
    for schedule in candidates(GEOMETRY, family):
        sums = schedule.tile_rows * schedule.tile_columns * schedule.tile_vectors
        assert sums < family.registers


def test_both_have_run_and_arm_has_not() -> None:
    assert never_run(["avx-vnni-p4", "avx512-vnni", "arm-dot"]) == ("arm-dot",)
