"""Products of two computed tensors: every family, bits and zero points, to the bit."""

import re
from typing import Any

import numpy as np
import pytest
import tvm

from hardware.errors import BuildError
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.products import matrices_family
from hardware.target import TargetConfig
from quant.deploy_graph import WIDE_MAX, WIDE_MIN, Matrices
from quant.integer import run_op
from tests.hardware.kernels.single_op import Bench, codes_of, product_of

_HEADS = Matrices(groups=3, rows=17, depth=20, columns=17, turned=True)
_MIXED = Matrices(groups=3, rows=17, depth=17, columns=20, turned=False)
_LONG = Matrices(groups=1, rows=9, depth=197, columns=64, turned=False)
_NARROW = Matrices(groups=2, rows=5, depth=3, columns=2, turned=True)


@pytest.mark.parametrize(
    ("matrices", "bits", "points", "wide"),
    [
        (_HEADS, (8, 8), (131, 128), True),
        (_HEADS, (8, 8), (0, 117), True),
        (_HEADS, (4, 4), (7, 9), False),
        (_MIXED, (8, 8), (0, 255), False),
        (_MIXED, (8, 5), (0, 16), False),
        (_LONG, (2, 3), (1, 0), False),
        (_LONG, (7, 7), (64, 127), True),
        (_NARROW, (8, 7), (255, 3), True),
        (_NARROW, (3, 8), (2, 128), False),
    ],
)
def test_every_code_of_a_product_is_right(
    matrices: Matrices, bits: tuple[int, int], points: tuple[int, int], wide: bool, bench: Bench
) -> None:
    op = product_of(matrices, bits, points, wide=wide)
    left, right = codes_of(op, batch=2)
    bench.agrees(op, left, right, out_dtype="int16" if wide else "uint8")


def test_the_largest_codes_do_not_saturate(bench: Bench) -> None:
    op = product_of(_LONG, (8, 8), (0, 0), wide=True)
    left, right = (np.full_like(codes, 255) for codes in codes_of(op, batch=1))
    bench.agrees(op, left, right, out_dtype="int16")
    for bits, point in (((8, 7), 127), ((8, 8), 255), ((8, 8), 128), ((8, 8), 1)):
        op = product_of(_LONG, bits, (0, point), wide=True)
        for code in (0, 2 ** bits[1] - 1):
            bench.agrees(op, left, np.full_like(right, code), out_dtype="int16")


def test_the_reference_multiplies_what_it_says() -> None:
    op = product_of(_NARROW, (8, 8), (5, 250), wide=True)
    left, right = codes_of(op, batch=1)
    found = run_op(op, left, right)
    for group, row, column in np.ndindex(op.shape):
        total = sum(
            (int(left[0, group, row, at]) - 5) * (int(right[0, group, column, at]) - 250)
            for at in range(3)
        )
        code = np.rint(np.float32(total) * np.float32(op.multiplier))
        assert found[0, group, row, column] == np.clip(code, WIDE_MIN, WIDE_MAX)


def test_families_are_those_that_are_exact() -> None:
    def name(kind: Any, bits: tuple[int, int]) -> str:
        return matrices_family(kind, bits, rows=64).name

    assert name("avx2", (4, 4)) == "avx2-d64"
    assert name("avx2", (8, 8)) == name("avx2", (8, 7)) == "avx2-w8"
    assert name("avx512-vnni", (8, 7)) == name("avx512-vnni", (8, 8)) == "avx512-vnni"
    assert name("arm-dot", (8, 4)) == name("arm-dot", (8, 8)) == "arm-dot"
    assert name("neon", (2, 2)) == name("neon", (8, 8)) == "generic-words"


@pytest.mark.parametrize(
    ("mcpu", "triple", "instruction"),
    [
        ("cascadelake", "x86_64-linux-gnu", r"vpdpbusd.*%zmm"),
        ("alderlake", "x86_64-linux-gnu", r"\{vex\}.*vpdpbusd"),
        ("cortex-a76", "aarch64-linux-gnu", r"sdot"),
    ],
)
def test_other_cpus_have_their_dot_products(mcpu: str, triple: str, instruction: str) -> None:
    """Their arithmetic is that of layers, which their own tests compare; none may run here."""
    bench = Bench("unused")
    bench.target = KernelTarget.of(TargetConfig(mcpu=mcpu), triple)
    op = product_of(_LONG, (8, 8), (3, 90), wide=True)
    plan = bench.plan(op, list(codes_of(op, batch=1)), (1, *op.shape), "int16")
    module = tvm.IRModule({"product": plan.build("product")})
    text = str(tvm.tirx.build(module, bench.target.tvm_target()).inspect_source("asm"))
    assert re.search(instruction, text)


def test_shapes_and_zero_points_that_do_not_belong_together_are_refused(auto: Bench) -> None:
    op = product_of(_HEADS, (4, 4), (7, 16), wide=False)
    with pytest.raises(BuildError, match="zero point is within 0 and 15, found 16"):
        auto.plan(op, list(codes_of(op, batch=1)), (1, *op.shape), "uint8")
    op = product_of(_HEADS, (4, 4), (7, 7), wide=False)
    left, right = codes_of(op, batch=1)
    with pytest.raises(BuildError, match="expected matrices of"):
        auto.plan(op, [left, right[:, 1:]], (1, *op.shape), "uint8")
