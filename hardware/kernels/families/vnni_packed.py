"""VNNI on packed weights: two of four bits or four of two bits in a byte.

A matrix product of one vector uses every weight once, so that it takes as long as reading them. A
half or a quarter of the bytes are read here. A weight is moved to the top of its byte, where it is
the same number times a power of two; the whole sum is divided by that at its end.

A byte of two weights, -1 for code q0 in its low half and 5 for code q4 in its high half:

    byte                 0101 1111
    q0 meets             1111 0000   shifted left by 4          -1 * 16
    q4 meets             0101 0000   masked                      5 * 16
    sum, then `finish`   (q0 * -16 + q4 * 80 + ...) >> 4

    >>> from hardware.kernels.families.vnni import AVX_VNNI
    >>> rows = np.zeros((8, 8), np.int8)  # 8 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:08b}" for byte in choose_packed(AVX_VNNI, 4).weight_steps(rows)[0, :4]]
    ['01011111', '10100010', '01110011', '10010100']
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.families.family import WeightDtype, broadcast_word
from hardware.kernels.families.vnni import Vnni

_GROUP = 4
"""Codes of one lane."""
_LARGEST_PRODUCT = 255 * 128
"""Largest product of a code and a weight at the top of its byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VnniPacked(Vnni):
    """`vpdpbusd` on weights that are taken out of their bytes."""

    products: int
    """`_GROUP` for each weight of a byte."""
    weight_dtype: WeightDtype = "uint8"

    @property
    def weight_bits(self) -> int:
        """Bits of one weight."""
        return 8 * _GROUP // self.products

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane, the next four, and so on."""
        words = (
            broadcast_word(codes, position + first, _GROUP, self.channels)
            for first in range(0, self.products, _GROUP)
        )
        return [T.reinterpret(word, dtype=f"uint8x{self.weight_lanes}") for word in words]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all products, times a power of two."""
        bits, lanes = self.weight_bits, self.weight_lanes
        top = T.broadcast(T.uint8(256 - (1 << (8 - bits))), lanes)
        words = T.Bind(T.reinterpret(weight, dtype=f"uint32x{self.channels}"))
        for index, four in enumerate(code):
            # x86 shifts no bytes: the neighbour's bits that come along are masked away.
            shift = T.broadcast(T.uint32(8 - bits * (index + 1)), self.channels)
            moved = T.reinterpret(T.shift_left(words, shift), dtype=f"uint8x{lanes}")
            total = self.add_products(total, four, T.bitwise_and(moved, top))
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums themselves."""
        (total,) = carried
        return (T.shift_right(total, T.broadcast(T.int32(8 - self.weight_bits), self.channels)),)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the weights of the first four codes at the bottom of their bytes, and so on."""
        *outer, channels, codes = rows.shape
        bits, steps = self.weight_bits, codes // self.products
        split = rows.view(np.uint8).reshape(*outer, channels, steps, -1, _GROUP)
        packed_rows = np.zeros((*outer, channels, steps, _GROUP), np.uint8)
        for index in range(split.shape[-2]):
            packed_rows |= (split[..., index, :] & ((1 << bits) - 1)) << (bits * index)
        return np.moveaxis(packed_rows, -2, -3).reshape(*outer, steps, self.weight_lanes)

    def fits(self, steps: int) -> bool:
        """Return whether 32 bits hold the sum of so many steps, times the power of two."""
        return steps * self.products * _LARGEST_PRODUCT <= np.iinfo(np.int32).max


def choose_packed(family: Vnni, weight_bits: int) -> VnniPacked:
    """Return the family that reads as few bytes as a width allows.

    Args:
        family: The same on whole bytes.
        weight_bits: 4 or fewer.
    """
    per_byte = 4 if weight_bits <= 2 else 2
    return VnniPacked(
        name=f"{family.name}-p{8 // per_byte}",
        channels=family.channels,
        products=_GROUP * per_byte,
        weight_lanes=family.weight_lanes,
        accumulator=family.accumulator,
        wide_lanes=family.wide_lanes,
        registers=family.registers,
    )
