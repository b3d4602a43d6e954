"""Depthwise sums with AVX2: two rows of codes interleaved, so that pairs of products are added.

Codes of one channel in two neighbouring kernel rows stand side by side; one multiply-and-add
instruction then takes two taps. With 8-bit operands (`pmaddubsw`) all sums stay in 16 bits; where
that is not exact, 16-bit operands (`pmaddwd`) give sums of 32 bits.

    kernel row 0, one column    a0 a1 a2 ...          channels 0, 1, 2, ...
    kernel row 1, same column   b0 b1 b2 ...
    operand                     a0 b0 a1 b1 a2 b2 ...
    weights                     v0 w0 v1 w1 v2 w2 ...
    added to the sums           a0 v0 + b0 w0         of channel 0, and so on

    for column in the tile's input columns:
        for pair of kernel rows:                      # 3 rows: (0, 1), (2, zeros)
            interleave the codes once
            for pixel, tap in tile.users(column): sums[pixel] += operands * weights[tap, pair]

x86 interleaves bytes within 128-bit halves. So the two operands of 32 channels hold channels 0 to 7
beside 16 to 23, and 8 to 15 beside 24 to 31. Weights are packed alike (`_channel_order`), and the
sums are put in order at the end (`_in_order`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import lanes_of, load, local_vector, store
from hardware.kernels.products.depthwise import DepthwiseFamily, DepthwiseTile

__all__ = ["Avx2Depthwise", "choose_avx2_depthwise"]

_INT16_MAX = 32767
_HALF = 8
"""Channels whose two rows fill one half of a register as bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Depthwise(DepthwiseFamily):
    """Pairs of rows of 32 or 16 channels."""

    bytes: bool
    """Whether operands are 8-bit and sums 16-bit."""

    def emit_sums(self, tile: DepthwiseTile) -> list[list[Any]]:
        """Emit all taps: each column of codes is interleaved once and used for every pixel."""
        g = tile.geometry
        parts = self.lanes // (16 if self.bytes else 8)
        dtype, lanes = ("int16", 16) if self.bytes else ("int32", 8)
        sums = [[local_vector(dtype, lanes) for _ in range(parts)] for _ in range(tile.columns)]
        fresh = [True] * tile.columns
        for column in range(tile.input_columns):
            users = tile.users(column)
            for pair in range(_pairs(g.kernel[0])) if users else ():
                operands = self._operands(tile, pair, column)
                for pixel, tap in users:
                    weights = self._weights(tile, tap, pair, parts)
                    for total, code, weight in zip(sums[pixel], operands, weights, strict=True):
                        term = self._multiply(code, weight)
                        value = term if fresh[pixel] else load(total, 0, lanes) + term
                        store(total, 0, value, lanes)
                    fresh[pixel] = False
        return [self._in_order(totals) for totals in sums]

    def pack(self, weight: npt.NDArray[np.int8], starts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return `[vectors, kernel_w, pairs, parts, lanes of a part]`, int8 or int16."""
        channels, rows, columns = weight.shape
        pairs = _pairs(rows)
        filled = np.zeros((channels, 2 * pairs, columns), np.int8 if self.bytes else np.int16)
        filled[:, :rows] = weight
        order = self._channel_order()
        vectors = filled[starts[:, None] + order.reshape(-1)]
        split = vectors.reshape(len(starts), *order.shape, pairs, 2, columns)
        packed = split.transpose(0, 5, 3, 1, 2, 4)
        return np.ascontiguousarray(packed).reshape(len(starts), columns, pairs, len(order), -1)

    def _channel_order(self) -> npt.NDArray[np.intp]:
        """Return `[parts, channels]`: the channels of each register of operands."""
        halves = np.arange(self.lanes).reshape(-1, _HALF)
        if not self.bytes or self.lanes == 16:
            return halves if not self.bytes else np.arange(16).reshape(1, 16)
        return halves[[0, 2, 1, 3]].reshape(2, 16)

    def _operands(self, tile: DepthwiseTile, pair: int, column: int) -> list[Any]:
        """Return the registers of one column's codes in two rows."""
        upper = tile.read(2 * pair, column, self.lanes)
        lower = T.broadcast(T.uint8(0), self.lanes)
        if 2 * pair + 1 < tile.geometry.kernel[0]:
            lower = tile.read(2 * pair + 1, column, self.lanes)
        if self.bytes and self.lanes == 16:
            return [_interleaved(upper, lower, range(16))]
        if self.bytes:
            # Within 128-bit halves: one instruction each.
            ends = ((*range(8), *range(16, 24)), (*range(8, 16), *range(24, 32)))
            return [_interleaved(upper, lower, end) for end in ends]
        halves = [range(start, start + _HALF) for start in range(0, self.lanes, _HALF)]
        return [T.Cast("int16x16", _interleaved(upper, lower, half)) for half in halves]

    def _weights(self, tile: DepthwiseTile, tap: int, pair: int, parts: int) -> list[Any]:
        g, lanes = tile.geometry, 32 if self.bytes else 16
        first = ((tile.block * g.kernel[1] + tap) * _pairs(g.kernel[0]) + pair) * parts
        return [load(tile.weights, (first + part) * lanes, lanes) for part in range(parts)]

    def _multiply(self, code: Any, weight: Any) -> Any:
        name, dtype = ("pmadd.ub.sw", "int16x16") if self.bytes else ("pmadd.wd", "int32x8")
        intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.x86.avx2.{name}")
        return T.call_llvm_pure_intrin(intrinsic, code, weight, dtype=dtype)

    def _in_order(self, totals: list[Any]) -> list[Any]:
        """Return a pixel's sums as int32, channels in order."""
        if not self.bytes:
            return [load(total, 0, 8) for total in totals]
        halves = [
            T.Cast("int32x8", T.call_intrin("int16x8", half, load(total, 0, 16)))
            for total in totals
            for half in ("tirx.vectorlow", "tirx.vectorhigh")
        ]
        return halves if self.lanes == 16 else [halves[index] for index in (0, 2, 1, 3)]


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
            name="avx2-depthwise-d", lanes=lanes, columns=7 if lanes == 32 else 8, bytes=True
        )
    # Wider tiles would interleave the same columns again for more of their pixels (measured).
    return Avx2Depthwise(name="avx2-depthwise-w8", lanes=16, columns=7, bytes=False)


def _pairs(rows: int) -> int:
    return (rows + 1) // 2


def _interleaved(upper: Any, lower: Any, lanes: Any) -> Any:
    """Return the chosen lanes of two vectors, alternating."""
    count = lanes_of(upper)
    indices = [index for lane in lanes for index in (lane, count + lane)]
    return tirx.Shuffle([upper, lower], indices)
