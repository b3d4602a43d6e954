"""AVX2 on packed weights of 2 to 7 bits, for layers that wait for memory.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
They are read without a gap here (see `BitPacking`); taking them apart costs instructions that the
processor has to spare meanwhile. With 4 bits, two weights in a byte:

    byte of channel c    high half w[c][4]      low half w[c][0]
    first pmaddubsw      codes q0 .. q3 by the low halves of four bytes
    second pmaddubsw     codes q4 .. q7 by the high halves of the same bytes

Weights at the top of their bytes are themselves times 2^(8 - b), and so is the sum, which is
shifted back at its end. Products with large codes would not fit 16 bits; for these, weights go to
the bottom, are unsigned, and 2^(b - 1) is subtracted, an instruction each.

With 4-bit weights at the top (16 * 7) and 4-bit codes two products are at most 3360, and 16 bits
hold nine of them, or four steps. With 8-bit codes they are 57120, and these weights go to the
bottom. Where 16 bits do not hold a whole step, each `hold` of its sums are widened at once.

    >>> [choose_avx2_packed(*bits).name for bits in ((4, 4), (4, 8), (7, 7))]
    ['avx2-p4-d4', 'avx2-p4-low-d4', 'avx2-p7-h1']
    >>> rows = np.zeros((8, 8), np.int8)  # 8 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:02x}" for byte in choose_avx2_packed(4, 4).weight_steps(rows)[0, :4]]
    ['5f', 'a2', '73', '94']
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.families.avx2 import INT16_MAX, pair_depth, pmaddubsw, pmaddwd
from hardware.kernels.families.bit_packing import BYTE, BitPacking, PackedWeights
from hardware.kernels.families.family import CodeDtype, Family, broadcast_word

_GROUP = 4
"""Codes of one lane."""
_LANES = 32
_HOLDS = (128, 64, 32, 16, 8, 4, 2, 1)
"""Sums of two products that get code of their own; another number takes the class below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Packed(PackedWeights, Family):
    """`pmaddubsw` on weights that are taken out of their bytes."""

    at_top: bool
    """Whether a weight is multiplied at the top of its byte."""
    hold: int
    """Sums of two products that 16 bits hold, for families without a depth."""
    channels: int = 8
    code_dtype: CodeDtype = "uint8"
    panels: bool = False
    terms: bool = False

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane, the next four, and so on."""
        words = (
            broadcast_word(codes, position + first, _GROUP, self.channels)
            for first in range(0, self.products, _GROUP)
        )
        return [T.reinterpret(word, dtype="uint8x32") for word in words]

    def read_weight(self, weights: Any, place: Any) -> Any:
        """Return a vector for each of the bytes that a group of weights shares."""
        return [
            T.Bind(load(weights, place + first, _LANES))
            for first in range(0, self.weight_lanes, _LANES)
        ]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of all products, at the top times a power of two."""
        terms = [
            pmaddubsw(codes, self._take_out(weight, index)) for index, codes in enumerate(code)
        ]
        if not self.depth:
            terms = [
                _widen(_sum(terms[first : first + self.hold]))
                for first in range(0, len(terms), self.hold)
            ]
        term = _sum(terms)
        return term if total is None else total + term

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return both sums of each channel added up."""
        return (_widen(total),)

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums themselves."""
        if not self.at_top:
            return carried
        shift = T.broadcast(T.int32(BYTE - self.weight_bits), self.channels)
        return tuple(T.shift_right(total, shift) for total in carried)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the bytes that the weights of each step share."""
        return self.packing.pack_steps(
            rows if self.at_top else rows + np.int8(self._middle()), _GROUP
        )

    def step_cost(self, pixels: int, vectors: int, *, is_near: bool) -> float:
        """Return about how many instructions one step of a tile takes."""
        packing = self.packing
        widened = 0 if self.depth else packing.weights // self.hold
        multiply = 2 * packing.weights + widened + (0 if self.at_top else packing.weights)
        work = pixels * (multiply + packing.instructions()) + packing.stored
        return float(vectors * work + packing.weights * pixels)

    def fits(self, steps: int) -> bool:
        """Return whether 32 bits hold the sum of so many steps."""
        held = self.depth * self.packing.weights or self.hold
        return steps * self.products * (INT16_MAX // (2 * held)) <= np.iinfo(np.int32).max

    def _take_out(self, weight: Any, index: int) -> Any:
        found = self.packing.unpack(weight, index, at_top=self.at_top)
        found = T.reinterpret(found, dtype="int8x32")
        return found if self.at_top else found - T.broadcast(T.int8(self._middle()), _LANES)

    def _middle(self) -> int:
        return 1 << (self.weight_bits - 1)


def choose_avx2_packed(weight_bits: int, activation_bits: int) -> Avx2Packed:
    """Return the family with the fewest instructions that is exact.

    Args:
        weight_bits: 2 to 7.
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
    """
    found = (_packed(weight_bits, activation_bits, at_top=at_top) for at_top in (True, False))
    return min((one for one in found if one), key=_cost)


def _packed(weight_bits: int, activation_bits: int, *, at_top: bool) -> Avx2Packed | None:
    """Return the family with weights at one end of their bytes, None where it is not exact."""
    largest = (2 ** (weight_bits - 1) - 1) << (BYTE - weight_bits if at_top else 0)
    held = pair_depth((2**activation_bits - 1) * largest)
    if not held:
        return None
    packing, hold = BitPacking(weight_bits), next(one for one in _HOLDS if one <= held)
    depth = hold // packing.weights
    where = f"avx2-p{weight_bits}" if at_top else f"avx2-p{weight_bits}-low"
    return Avx2Packed(
        name=f"{where}-d{depth}" if depth else f"{where}-h{hold}",
        weight_bits=weight_bits,
        at_top=at_top,
        hold=0 if depth else hold,
        depth=depth,
        products=_GROUP * packing.weights,
        weight_lanes=_LANES * packing.stored,
        accumulator="int16x16" if depth else "int32x8",
        carried=("int32x8",) if depth else (),
        most_inside=max(1, 4 // packing.stored),
    )


def _cost(family: Avx2Packed) -> float:
    """Return about how many instructions take eight groups of weights, whichever there are."""
    folds = 2.0 / family.depth if family.depth else 0.0
    return family.step_cost(1, 1, is_near=False) + folds


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _widen(total: Any) -> Any:
    return pmaddwd(total, T.broadcast(T.int16(1), 16))
