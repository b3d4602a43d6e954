"""VNNI on packed weights of 2 to 7 bits.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
They are read without a gap here (see `BitPacking`). A weight is moved to the top of its byte, where
it is the same number times a power of two; the whole sum is divided by that at its end.

A byte of two weights, -1 for code q0 in its low half and 5 for code q4 in its high half:

    byte                 0101 1111
    q0 meets             1111 0000   shifted left by 4          -1 * 16
    q4 meets             0101 0000   masked                      5 * 16
    sum, then `finish`   (q0 * -16 + q4 * 80 + ...) >> 4

    >>> from hardware.kernels.families.vnni import AVX_VNNI
    >>> rows = np.zeros((8, 8), np.int8)  # 8 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:08b}" for byte in packed_vnni(AVX_VNNI, 4).weight_steps(rows)[0, :4]]
    ['01011111', '10100010', '01110011', '10010100']
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.families.bit_packing import BYTE, BitPacking, PackedWeights
from hardware.kernels.families.family import broadcast_word
from hardware.kernels.families.vnni import Vnni

_GROUP = 4
"""Codes of one lane."""
_LARGEST_PRODUCT = 255 * 128
"""Largest product of a code and a weight at the top of its byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VnniPacked(PackedWeights, Vnni):
    """`vpdpbusd` on weights that are taken out of their bytes."""

    products: int
    """`_GROUP` for each weight of a group (see `BitPacking`)."""

    @property
    def lanes(self) -> int:
        """Bytes of a register."""
        return _GROUP * self.channels

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane, the next four, and so on."""
        words = (
            broadcast_word(codes, position + first, _GROUP, self.channels)
            for first in range(0, self.products, _GROUP)
        )
        return [T.reinterpret(word, dtype=f"uint8x{self.lanes}") for word in words]

    def read_weight(self, weights: Any, place: Any) -> Any:
        """Return a register for each of the bytes that a group of weights shares."""
        return [
            T.Bind(load(weights, place + first, self.lanes))
            for first in range(0, self.weight_lanes, self.lanes)
        ]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all products, times a power of two."""
        for index, four in enumerate(code):
            total = self.add_products(total, four, self.packing.unpack(weight, index, at_top=True))
        return total

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums themselves."""
        (total,) = carried
        return (T.shift_right(total, T.broadcast(T.int32(BYTE - self.weight_bits), self.channels)),)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the bytes that the weights of each step share."""
        return self.packing.pack_steps(rows, _GROUP)

    def fits(self, steps: int) -> bool:
        """Return whether 32 bits hold the sum of so many steps, times the power of two."""
        return steps * self.products * _LARGEST_PRODUCT <= np.iinfo(np.int32).max


def packed_vnni(family: Vnni, weight_bits: int) -> VnniPacked:
    """Return the family that reads weights without a gap.

    Args:
        family: The same on whole bytes.
        weight_bits: 2 to 7.
    """
    packing = BitPacking(weight_bits)
    return VnniPacked(
        name=f"{family.name}-p{weight_bits}",
        weight_bits=weight_bits,
        channels=family.channels,
        products=_GROUP * packing.weights,
        weight_lanes=_GROUP * family.channels * packing.stored,
        accumulator=family.accumulator,
        wide_lanes=family.wide_lanes,
        registers=family.registers,
        most_inside=max(1, 4 // packing.stored),
    )
