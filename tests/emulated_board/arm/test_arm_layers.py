"""Layers as wide as real ones on the board: every Arm family, random and extreme codes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quant.deploy_graph import Conv2d, Epilogue
from tests.emulated_board.arm_bench import ArmBench
from tests.hardware.kernels.single_op import make_layer

pytestmark = pytest.mark.board

BITS = [(8, 8), (8, 7), (7, 8), (7, 7), (6, 6), (4, 4), (4, 3), (3, 3), (2, 3), (2, 2)]


def _layer(shape: tuple[int, ...], bits: tuple[int, int], **conv: Any) -> Conv2d:
    defaults = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    rng = np.random.default_rng(3)
    op = make_layer(rng, shape, bits, zero_point=2 ** bits[1] // 2, **{**defaults, **conv})
    assert isinstance(op, Conv2d)
    return op


@pytest.mark.parametrize("bits", BITS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_a_wide_convolution_agrees(bits: tuple[int, int], bench: ArmBench) -> None:
    op = _layer((48, 3, 3, 64), bits)
    codes = np.random.default_rng(4).integers(0, 2 ** bits[1], (2, 7, 9, 64), dtype=np.uint8)
    bench.agrees(op, codes, out_dtype="uint8")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bits", BITS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_a_depthwise_convolution_agrees(
    bits: tuple[int, int], stride: int, bench: ArmBench
) -> None:
    op = _layer((40, 3, 3, 1), bits, groups=40, stride=(stride, stride))
    rng, largest = np.random.default_rng(5), 2 ** bits[1] - 1
    codes = rng.integers(0, largest, (1, 9, 11, 40), dtype=np.uint8, endpoint=True)
    bench.agrees(op, codes, out_dtype="uint8")
    weight = np.full(op.weight.shape, 1 - 2 ** (bits[0] - 1), np.int8)
    # Logits of the sums themselves: nothing is clipped that could hide an overflow.
    sums = Epilogue(bias=np.zeros(40, np.int32), multiplier=np.ones(40, np.float32), logits=True)
    extreme = replace(op, weight=weight, epilogue=sums, input_zero_point=0)
    bench.agrees(extreme, np.full_like(codes, largest), out_dtype="float32")
