"""Depthwise sums with AVX-512 VNNI: four rows of codes interleaved, four products at a time.

Codes of one channel in up to four kernel rows stand side by side in 32 bits; one `vpdpbusd` adds
the products of all four. It is exact for every pair of widths.

    kernel row 0, one column    a0 a1 a2 ...          channels 0, 1, 2, ...
    kernel row 1, same column   b0 b1 b2 ...
    kernel row 2, same column   c0 c1 c2 ...
    no fourth row               0  0  0  ...
    operand                     a0 b0 c0 0 | a1 b1 c1 0 | ...     32 bits for each channel
    weights                     u0 v0 w0 0 | u1 v1 w1 0 | ...
    added to the sums           a0 u0 + b0 v0 + c0 w0             of channel 0, and so on

x86 interleaves within 128-bit parts. So a row's fours of channels are dealt to the parts first, as
cards to four players (`_deal`): fours 0, 4, 8, 12 to the first part, 1, 5, 9, 13 to the second.
Interleaved twice, the first operand then holds channels 0 to 15 in order, the second 16 to 31.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import lanes_of
from hardware.kernels.families.vnni import AVX512_VNNI
from hardware.kernels.products.depthwise import DepthwiseTile
from hardware.kernels.products.depthwise_interleaved import InterleavedDepthwise

_ROWS = 4
_CHANNELS = 16
"""Channels of one vector of sums."""
_BYTES = 64
_PARTS = 4
"""128-bit parts of a register, which x86 interleaves one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VnniDepthwise(InterleavedDepthwise):
    """One, two or four vectors of sixteen channels."""

    name: str = "avx512-vnni-depthwise"
    rows: int = _ROWS
    weight_dtype: Literal["int8", "int16"] = "int8"
    sum_dtype: Literal["int16", "int32"] = "int32"
    sum_lanes: int = _CHANNELS

    def operands(self, tile: DepthwiseTile, group: int, column: int) -> list[Any]:
        """Return the registers of one column's codes in up to four rows."""
        first = group * _ROWS
        last = min(first + _ROWS, tile.geometry.kernel[0])
        rows = [
            T.Bind(_deal(T.Bind(tile.read(row, column, self.lanes)))) if row < last else _zeros()
            for row in range(first, first + _ROWS)
        ]
        pairs = [_interleave(rows[at], rows[at + 1], "uint8") for at in (0, 2)]
        fours = [
            vector
            for upper, lower in zip(*pairs, strict=True)
            for vector in _interleave(T.Bind(upper), T.Bind(lower), "uint16")
        ]
        # Bound: every pixel of the tile uses them.
        return [T.Bind(vector) for vector in fours[: self.lanes // _CHANNELS]]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of four products."""
        return AVX512_VNNI.add_products(total, code, weight)


def choose_vnni_depthwise(channels: int) -> VnniDepthwise | None:
    """Return the family with the fastest tiles (measured), or None for fewer than 16 channels.

    Four vectors are fastest where no block of channels overlaps another.
    """
    if channels < _CHANNELS:
        return None
    if channels % _BYTES == 0:
        return VnniDepthwise(lanes=_BYTES, columns=4)
    return VnniDepthwise(lanes=32 if channels >= 32 else 16, columns=8)


def _zeros() -> Any:
    return T.broadcast(T.uint8(0), _BYTES)


def _deal(codes: Any) -> Any:
    """Return a row's codes, four by four, dealt to the parts of a register in turn.

    Interleaving works within parts; codes that were dealt come out of it in the channels' order.
    """
    fours = lanes_of(codes) // 4
    order = [_PARTS * at + part for part in range(_PARTS) for at in range(4)]
    # A shuffle may not have more lanes than its vectors together.
    sources = [T.reinterpret(codes, dtype=f"int32x{fours}")] * -(-len(order) // fours)
    dealt = tirx.Shuffle(sources, [index if index < fours else 0 for index in order])
    return T.reinterpret(dealt, dtype=f"uint8x{_BYTES}")


def _interleave(upper: Any, lower: Any, element: str) -> list[Any]:
    """Return the lower and the upper halves of all parts of two vectors, alternating."""
    count = 8 * _BYTES // int(element.removeprefix("uint"))
    part = count // _PARTS

    def half(places: Iterable[int]) -> Any:
        order = [index for at in places for index in (at, count + at)]
        sources = [T.reinterpret(one, dtype=f"{element}x{count}") for one in (upper, lower)]
        return T.reinterpret(tirx.Shuffle(sources, order), dtype=f"uint8x{_BYTES}")

    starts = range(0, count, part)
    return [
        half(start + first + at for start in starts for at in range(part // 2))
        for first in (0, part // 2)
    ]
