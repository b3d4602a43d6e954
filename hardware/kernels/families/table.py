"""Table: sums of two products looked up, for ternary weights.

Two codes of `a` bits have 4^a values and two ternary weights nine. Each pair of codes has a table
of 16 bytes: the sums for each pair of weights, plus an offset that makes them positive. A step
loads the table of its codes and looks the sums of many channels up at once. Sums of bytes are added
up in words before a byte can overflow.

Codes q0 = 3 and q1 = 1 of 2 bits have table number 3 + 4 * 1 = 7. Weights (w0, w1) have entry
3 * (w0 + 1) + (w1 + 1), and the offset is 6:

    entry       0        1       2       3       4      5      6       7      8     9 .. 15
    weights  (-1,-1)  (-1,0)  (-1,1)  (0,-1)  (0,0)  (0,1)  (1,-1)  (1,0)  (1,1)
    sum + 6     2        3       4       5       6      7      8       9     10     0

    >>> from hardware.kernels.families.avx2_table import Avx2Table
    >>> family = Avx2Table.choose(weight_bits=2, activation_bits=2, steps=100)
    >>> family.lookup_table()[7 * ENTRIES :][:9]
    array([ 2,  3,  4,  5,  6,  7,  8,  9, 10], dtype=uint8)

An entry is at most 12, so that a byte holds 21 steps. Then the two bytes of a word, two channels,
are taken apart into words of their own (`fold`, `finish`): even channels in order, then odd ones.

The tables depend on nothing but `a`, so they are a constant, and "building the tables" of an image
is one pass that turns each pair of codes into the place of its table.

Source: docs/integers.md, "Table kernel".
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.vectors import parts
from hardware.kernels.families.family import CodeDtype, Family, WeightDtype

ENTRIES = 16
"""Bytes of one table."""
_WORD_SHIFT = 8
_UINT8_MAX, _UINT16_MAX = 255, 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFamily(Family):
    """Everything about tables but the instructions that look them up."""

    target: ClassVar[str]
    """What the family's name begins with."""
    name: str
    depth: int
    largest: int
    """Largest activation code."""
    pair_scale: int
    """A pair's byte is `pair_scale` times its number."""
    products: int = 2
    code_dtype: CodeDtype = "pairs"
    weight_dtype: WeightDtype = "uint8"

    @abstractmethod
    def pair_bytes(self, low: Any, high: Any) -> Any:
        """Return the bytes of pairs of neighbouring codes: those of two uint8x32, in order."""

    @property
    def pair_factors(self) -> tuple[int, int]:
        """Factors of a pair's two codes, whose products add up to its byte."""
        return self.pair_scale, self.pair_scale * (self.largest + 1)

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return the bytes as words, and the odd bytes alone.

        A word is its even byte plus 256 times its odd one; once the odd sums are known, the even
        ones follow (`finish`), and no mask is needed here.
        """
        lanes = self.weight_lanes // 2
        words = T.reinterpret(total, dtype=f"uint16x{lanes}")
        return (words, T.shift_right(words, T.broadcast(T.uint16(_WORD_SHIFT), lanes)))

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums of even and odd bytes as int32."""
        words, odd = carried
        lanes = self.weight_lanes // 2
        even = words - T.shift_left(odd, T.broadcast(T.uint16(_WORD_SHIFT), lanes))
        return tuple(
            T.Cast(f"int32x{self.wide_lanes}", part)
            for sums in (even, odd)
            for part in parts(sums, lanes // self.wide_lanes)
        )

    def wide_places(self) -> npt.NDArray[np.intp]:
        """Return the bytes in the order of `finish`: even ones, then odd ones."""
        places = np.arange(self.weight_lanes)
        return np.concatenate([places[0::2], places[1::2]]).reshape(-1, self.wide_lanes)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return `3 * (w0 + 1) + (w1 + 1)` for each pair of weights."""
        pairs = rows.reshape(*rows.shape[:-1], -1, 2) + 1
        return np.moveaxis(3 * pairs[..., 0] + pairs[..., 1], -2, -1).astype(np.uint8)

    def lookup_table(self) -> npt.NDArray[np.uint8]:
        """Return the tables, uint8 `[(largest + 1)^2 * 16]`."""
        codes = np.arange(self.largest + 1)
        weights = np.arange(-1, 2)
        first = codes[None, :, None, None] * weights[:, None]
        second = codes[:, None, None, None] * weights[None, :]
        tables = np.zeros((len(codes), len(codes), ENTRIES), np.uint8)
        tables[..., :9] = (first + second + self.step_bias()).reshape(len(codes), len(codes), 9)
        return tables.reshape(-1)

    def step_bias(self) -> int:
        """Return the offset that makes every entry positive."""
        return 2 * self.largest

    def fits(self, steps: int) -> bool:
        """Return whether 16 bits hold the sum of so many steps."""
        return steps * 2 * self.step_bias() <= _UINT16_MAX

    @classmethod
    def choose(cls, weight_bits: int, activation_bits: int, steps: int) -> Self | None:
        """Return the family, or None where it is not exact for these widths and sums.

        Args:
            weight_bits: 2 for ternary weights.
            activation_bits: 2 or 3.
            steps: Pairs of codes in one sum.
        """
        if weight_bits != 2 or activation_bits > 3:
            return None
        largest: int = 2**activation_bits - 1
        # As many lookups as a byte holds.
        depth = _UINT8_MAX // (4 * largest)
        make: Callable[..., Self] = cls  # its other fields have defaults
        family = make(name=f"{cls.target}-table{activation_bits}", depth=depth, largest=largest)
        return family if family.fits(steps) else None
