"""Depthwise sums with AVX2: two rows of codes interleaved, so that pairs of products are added.

Codes of one channel in two neighbouring kernel rows stand side by side; one multiply-and-add
instruction then takes two taps. With 8-bit operands (`pmaddubsw`) all sums stay in 16 bits; where
that is not exact, 16-bit operands (`pmaddwd`) give sums of 32 bits.

    kernel row 0, one column    a0 a1 a2 ...          channels 0, 1, 2, ...
    kernel row 1, same column   b0 b1 b2 ...
    operand                     a0 b0 a1 b1 a2 b2 ...
    weights                     v0 w0 v1 w1 v2 w2 ...
    added to the sums           a0 v0 + b0 w0         of channel 0, and so on

x86 interleaves bytes within 128-bit halves. So the two operands of 32 channels hold channels 0 to 7
beside 16 to 23, and 8 to 15 beside 24 to 31. Weights are packed alike (`channel_order`), and the
sums are put in order at the end (`finish`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import lanes_of
from hardware.kernels.families.avx2 import pmaddubsw, pmaddwd
from hardware.kernels.products.depthwise import DepthwiseTile
from hardware.kernels.products.depthwise_interleaved import InterleavedDepthwise

_INT16_MAX = 32767
_ROWS = 2
_HALVES = [0, 2, 1, 3]
"""Eights of 32 channels, as the halves of two operands hold them; and back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Depthwise(InterleavedDepthwise):
    """Pairs of rows of 32 or 16 channels, as bytes or as words."""

    rows: int = _ROWS

    def operands(self, tile: DepthwiseTile, group: int, column: int) -> list[Any]:
        """Return the registers of one column's codes in two rows."""
        row = _ROWS * group
        upper = tile.read(row, column, self.lanes)
        lower = T.broadcast(T.uint8(0), self.lanes)
        if row + 1 < tile.geometry.kernel[0]:
            lower = tile.read(row + 1, column, self.lanes)
        # Within 128-bit halves: one instruction for each operand of bytes.
        pairs = [_interleave(upper, lower, one) for one in self.channel_order().tolist()]
        return pairs if self._takes_bytes else [T.Cast("int16x16", pair) for pair in pairs]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of two products."""
        multiply = pmaddubsw if self._takes_bytes else pmaddwd
        return multiply(code, weight) if total is None else total + multiply(code, weight)

    def channel_order(self) -> npt.NDArray[np.intp]:
        """Return `[operands, sum_lanes]`: the channels of each operand."""
        if self.lanes == 16:
            return InterleavedDepthwise.channel_order(self)
        return np.arange(32).reshape(4, 8)[_HALVES].reshape(2, 16)

    def finish(self, totals: list[Any]) -> list[Any]:
        """Return a pixel's sums as int32, channels in order."""
        if not self._takes_bytes:
            return totals
        halves = [
            T.Cast("int32x8", T.call_intrin("int16x8", half, total))
            for total in totals
            for half in ("tirx.vectorlow", "tirx.vectorhigh")
        ]
        return halves if self.lanes == 16 else [halves[index] for index in _HALVES]

    @property
    def _takes_bytes(self) -> bool:
        return self.weight_dtype == "int8"


def choose_avx2_depthwise(
    weight_bits: int, activation_bits: int, taps: int, channels: int
) -> Avx2Depthwise | None:
    """Return the cheapest exact family, or None for fewer channels than a vector takes.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        taps: Products of one sum.
        channels: Channels of the layer.
    """
    if channels < 16:
        return None
    largest = (2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1)
    if max(taps, 2) * largest <= _INT16_MAX:
        lanes = 32 if channels >= 32 else 16
        return Avx2Depthwise(
            name="avx2-depthwise-d",
            lanes=lanes,
            columns=7 if lanes == 32 else 8,
            weight_dtype="int8",
            sum_dtype="int16",
            sum_lanes=16,
        )
    # Wider tiles would interleave the same columns again for more of their pixels (measured).
    return Avx2Depthwise(
        name="avx2-depthwise-w8",
        lanes=16,
        columns=7,
        weight_dtype="int16",
        sum_dtype="int32",
        sum_lanes=8,
    )


def _interleave(upper: Any, lower: Any, lanes: Any) -> Any:
    """Return the chosen lanes of two vectors, alternating."""
    count = lanes_of(upper)
    indices = [index for lane in lanes for index in (lane, count + lane)]
    return tirx.Shuffle([upper, lower], indices)
