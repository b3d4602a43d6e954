"""Matrix products of one vector on the board: packed weights, random and extreme codes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardware.kernels.families.family import Family
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily
from quant.deploy_graph import Epilogue, Linear
from tests.emulated_board.arm_bench import ArmBench
from tests.hardware.kernels.single_op import make_layer

pytestmark = pytest.mark.board

PAIRS = [(7, 8), (7, 7), (6, 8), (6, 6), (5, 8), (5, 5), (4, 8), (4, 7), (4, 4), (3, 8), (3, 3)]
PAIRS += [(2, 8), (2, 2)]
SHAPES = [(10, 64), (33, 200), (5, 7), (48, 1032), (17, 24)]
"""Output and input features: whole steps of 32, 16 and 8 codes, and such as leave a rest."""


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[1]}-{shape[0]}")
@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_a_packed_matrix_product_agrees(
    bits: tuple[int, int], shape: tuple[int, int], bench: ArmBench
) -> None:
    outputs, inputs = shape
    geometry = Geometry(batch=1, height=1, width=1, channels=inputs, out_channels=outputs)
    if bench.target.family == "arm-dot":
        stored = 4 if bits[0] == 3 else bits[0]
        assert choose_family("arm-dot", *bits, geometry).name == f"arm-dot-p{stored}"
    if bench.target.family == "neon" and bits != (2, 2):
        assert choose_family("neon", *bits, geometry).name.startswith(f"neon-p{bits[0]}-")
    rng, largest = np.random.default_rng(6), 2 ** bits[1] - 1
    op = make_layer(rng, shape, bits, zero_point=largest // 2, out_dtype="float32")
    codes = rng.integers(0, largest, (1, inputs), dtype=np.uint8, endpoint=True)
    bench.agrees(op, codes, out_dtype="float32")
    assert isinstance(op, Linear)
    zeros, ones = np.zeros(outputs, np.int32), np.ones(outputs, np.float32)
    sums = Epilogue(bias=zeros, multiplier=ones, logits=True)
    for sign in (1, -1):
        weight = np.full(shape, sign * (2 ** (bits[0] - 1) - 1), np.int8)
        extreme = replace(op, weight=weight, epilogue=sums, input_zero_point=0)
        bench.agrees(extreme, np.full_like(codes, largest), out_dtype="float32")


@pytest.mark.parametrize("bits", [(3, 8), (3, 3)], ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_three_bits_without_a_gap_agree(
    bits: tuple[int, int], bench: ArmBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.target.family != "arm-dot":
        pytest.skip("weights of 3 bits take half a byte with dot products alone")

    def choose(kind: KernelFamily, *layer: Any) -> Family:
        return next(one for one in family_choices(kind, *layer) if one.name == "arm-dot-p3")

    monkeypatch.setattr(bench, "family", choose)
    rng, largest = np.random.default_rng(7), 2 ** bits[1] - 1
    for shape in SHAPES:
        op = make_layer(rng, shape, bits, zero_point=1, out_dtype="float32")
        codes = rng.integers(0, largest, (1, shape[1]), dtype=np.uint8, endpoint=True)
        bench.agrees(op, codes, out_dtype="float32")
