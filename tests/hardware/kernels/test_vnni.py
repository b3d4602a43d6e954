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
from hardware.family_history import never_run
from hardware.kernels.copying import needs_copy
from hardware.kernels.families.choose import choose_family
from hardware.kernels.families.vnni import AVX512_VNNI, AVX_VNNI, Vnni
from hardware.kernels.geometry import Geometry
from hardware.kernels.schedule import candidates
from hardware.kernels.target import KernelTarget
from hardware.target import KernelFamily, TargetConfig
from tests.hardware.kernels.single_op import Bench, make_layer

both = pytest.mark.parametrize("family", [AVX512_VNNI, AVX_VNNI], ids=lambda family: family.name)
CONV: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
GEOMETRY = Geometry(batch=1, height=28, width=28, channels=64, out_channels=64, kernel=(3, 3))


def _assembly(mcpu: str) -> str:
    """Return the machine code of a convolution for a CPU that need not be this one."""
    bench = Bench("unused")
    bench.target = KernelTarget.of(TargetConfig(mcpu=mcpu), "x86_64-linux-gnu")
    op = make_layer(np.random.default_rng(0), (64, 3, 3, 64), (8, 8), **CONV)
    plan = bench.plan(op, [np.zeros((1, 14, 14, 64), np.uint8)], (1, 14, 14, 64), "uint8")
    module = tvm.IRModule({"layer": plan.build("layer")})
    return str(tvm.tirx.build(module, bench.target.tvm_target()).inspect_source("asm"))


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
    try:
        bench = Bench(kernel_folder, "avx512-vnni")
    except TargetError as error:
        pytest.skip(str(error))
    bench.target = replace(bench.target, family="avx-vnni")
    rng = np.random.default_rng(3)
    for out_dtype, channels in (("uint8", 21), ("int16", 64), ("float32", 7)):
        op = make_layer(
            rng, (channels, 3, 3, 13), (8, 8), out_dtype=out_dtype, zero_point=9, **CONV
        )
        x = rng.integers(0, 256, (2, 9, 11, 13), dtype=np.uint8)
        plan = bench.plan(op, [x], (2, 9, 11, channels), out_dtype)
        assert plan.family == "avx-vnni"
        bench.agrees(op, x, out_dtype=out_dtype)


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


def test_avx_vnni_never_ran() -> None:
    assert never_run(["avx-vnni", "avx512-vnni"]) == ("avx-vnni",)
