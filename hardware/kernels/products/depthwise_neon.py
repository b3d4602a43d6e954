"""Depthwise sums with NEON: sixteen channels of 8-bit codes, products summed in 16 bits.

`smlal` multiplies eight codes by eight weights and adds the products to 16-bit sums. These are
widened after as many taps as are exact; with few bits, all taps are, and they are widened once.

    for column in the tile's input columns:
        for row in the kernel's rows:
            codes = 16 channels of this row and column           # loaded once
            for pixel, tap in tile.users(column):
                narrow[pixel] += codes * weights[row, tap]        # int16x16, two `smlal`
                after `depth` terms: wide[pixel] += narrow[pixel] # int32x16

Nine taps of 4-bit codes and weights are at most 9 * 15 * 7 = 945: 16 bits hold them. With 7-bit
codes and 8-bit weights, two products of 127 * 127 fit 16 bits, and a third does not. Codes of 8
bits are unsigned, so that both factors are widened first, which pays from four products on: with
weights of 7 or 8 bits the generic family's `smlal` in 32 bits takes as few instructions.

    >>> choose_neon_depthwise(weight_bits=8, activation_bits=7, taps=9, channels=32).depth
    2
    >>> choose_neon_depthwise(weight_bits=6, activation_bits=8, taps=9, channels=32).depth
    4
    >>> choose_neon_depthwise(weight_bits=8, activation_bits=8, taps=9, channels=32)
"""

from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load, local_vector, store
from hardware.kernels.emitting.vectors import parts
from hardware.kernels.products.depthwise import DepthwiseFamily, DepthwiseTile

_INT16_MAX = 32767
_BYTE_BITS = 8
_LEAST_DEPTH = 4
"""Products of unsigned codes that 16 bits must hold; of 16 channels and 4 pixels with 3x3 taps the
loop has 277 to 336 instructions then, 391 with two, and the generic one 390 (Cortex-A72)."""
_LANES = 16
_MOST_TAPS = 49
"""Taps that are written one after another; larger kernels are left to the generic family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonDepthwise(DepthwiseFamily):
    """Codes are signed bytes as they travel, unless they have 8 bits."""

    depth: int
    """Taps that 16 bits hold; 0: all."""
    signed: bool = True

    def emit_sums(self, tile: DepthwiseTile) -> list[list[Any]]:
        """Emit all taps, column by column: each vector of codes is loaded once."""
        g = tile.geometry
        sums = [_Sum(self.depth) for _ in range(tile.columns)]
        for column in range(tile.input_columns):
            users = tile.users(column)
            for row in range(g.kernel[0]) if users else ():
                codes = tile.read(row, column, _LANES)
                if self.signed:
                    codes = T.reinterpret(codes, dtype=f"int8x{_LANES}")
                for pixel, tap in users:
                    place = (tile.block * g.kernel[0] + row) * g.kernel[1] + tap
                    weight = load(tile.weights, place * _LANES, _LANES)
                    sums[pixel].add(T.Cast(_WORDS, codes) * T.Cast(_WORDS, weight))
        return [total.vectors() for total in sums]


_WORDS = f"int16x{_LANES}"
_WIDE = f"int32x{_LANES}"


class _Sum:
    """Emits the sums of one pixel: 16 bits for `depth` terms, then 32."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.narrow = local_vector("int16", _LANES)
        self.wide = local_vector("int32", _LANES) if depth else None
        self.terms, self.folds = 0, 0

    def add(self, term: Any) -> None:
        """Emit the addition of one term."""
        value = term if self.terms == 0 else load(self.narrow, 0, _LANES) + term
        store(self.narrow, 0, value, _LANES)
        self.terms += 1
        if self.terms == self.depth:
            self._fold()

    def vectors(self) -> list[Any]:
        """Return the sums as int32x4, channels in order."""
        if self.wide is None:
            return parts(T.Cast(_WIDE, load(self.narrow, 0, _LANES)), _LANES // 4)
        if self.terms:
            self._fold()
        return parts(load(self.wide, 0, _LANES), _LANES // 4)

    def _fold(self) -> None:
        value = T.Cast(_WIDE, load(self.narrow, 0, _LANES))
        if self.folds:
            value = load(self.wide, 0, _LANES) + value
        store(self.wide, 0, value, _LANES)
        self.terms, self.folds = 0, self.folds + 1


def choose_neon_depthwise(
    weight_bits: int, activation_bits: int, taps: int, channels: int
) -> NeonDepthwise | None:
    """Return the family, or None where it is not exact or wastes most of a vector.

    Args:
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        taps: Products of one sum.
        channels: Channels of the layer.
    """
    depth = _INT16_MAX // ((2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1))
    if channels < _LANES or taps > _MOST_TAPS:
        return None
    signed = activation_bits < _BYTE_BITS
    if not signed and depth < _LEAST_DEPTH:
        return None
    name = "neon-depthwise" if signed else "neon-depthwise-u8"
    if depth >= taps:
        return NeonDepthwise(name=name, lanes=_LANES, columns=4, depth=0, signed=signed)
    name = f"{name}-d{depth}"
    return NeonDepthwise(name=name, lanes=_LANES, columns=4, depth=depth, signed=signed)
