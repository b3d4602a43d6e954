"""AVX2 table: sums of two products looked up, for ternary weights.

Two codes of `a` bits have 4^a values and two ternary weights nine; for each pair of codes there is
a table of 16 bytes, the sums for each pair of weights plus an offset that makes them positive. A
step loads the table of its codes and looks 32 channels up at once (`pshufb`), 64 products for two
instructions. Sums of bytes are added up in words before a byte can overflow.

The tables depend on nothing but `a`, so they are a constant, and "building the tables" of an image
is one pass that turns each pair of codes into the place of its table.

Source: docs/integers.md, "Table kernel".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emit import load
from hardware.kernels.families.family import CodeDtype, Family, WeightDtype

__all__ = ["PAIR_SCALE", "Avx2Table", "table_family"]

_ENTRIES = 16
PAIR_SCALE = 2
"""A pair's byte is `PAIR_SCALE` times its number: x86 scales an address by 8 at most."""
_WORD = np.arange(32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Table(Family):
    """`pshufb` on tables of two codes by two ternary weights."""

    name: str
    depth: int
    largest: int
    """Largest activation code."""
    channels: int = 32
    products: int = 2
    code_dtype: CodeDtype = "pairs"
    weight_dtype: WeightDtype = "uint8"
    weight_lanes: int = 32
    accumulator: str = "uint8x32"
    carried: tuple[str, ...] = ("uint16x16", "uint16x16")

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return the table of two codes, in both halves."""
        place = T.Cast("int32", codes[position // 2]) * (_ENTRIES // PAIR_SCALE)
        table = load(lookup, place, _ENTRIES)
        return T.call_intrin("uint8x32", "tirx.vectorcombine", table, table)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums that the weights choose from the table."""
        term = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pshuf.b"), code, weight, dtype="uint8x32"
        )
        return term if total is None else total + term

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return the bytes as words, and the odd bytes alone.

        A word is its even byte plus 256 times its odd one; once the odd sums are known, the even
        ones follow (`finish`), and no mask is needed here.
        """
        words = T.reinterpret(total, dtype="uint16x16")
        return (words, T.shift_right(words, T.broadcast(T.uint16(8), 16)))

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums of even and odd bytes as int32."""
        words, odd = carried
        even = words - T.shift_left(odd, T.broadcast(T.uint16(8), 16))
        halves = ("tirx.vectorlow", "tirx.vectorhigh")
        return tuple(
            T.Cast("int32x8", T.call_intrin("uint16x8", half, sums))
            for sums in (even, odd)
            for half in halves
        )

    def wide_places(self) -> npt.NDArray[np.intp]:
        """Return the bytes in the order of `finish`: even ones, then odd ones."""
        return np.concatenate([_WORD[0::2], _WORD[1::2]]).reshape(4, 8)

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
        tables = np.zeros((len(codes), len(codes), _ENTRIES), np.uint8)
        tables[..., :9] = (first + second + self.step_bias()).reshape(len(codes), len(codes), 9)
        return tables.reshape(-1)

    def step_bias(self) -> int:
        """Return the offset that makes every entry positive."""
        return 2 * self.largest

    def fits(self, steps: int) -> bool:
        """Return whether 16 bits hold the sum of so many steps."""
        return steps * 2 * self.step_bias() <= np.iinfo(np.uint16).max


def table_family(weight_bits: int, activation_bits: int, steps: int) -> Avx2Table | None:
    """Return the table family, or None where it is not exact for these widths and sums.

    Args:
        weight_bits: 2 for ternary weights.
        activation_bits: 2 or 3.
        steps: Pairs of codes in one sum.
    """
    largest = 2**activation_bits - 1
    if weight_bits != 2 or activation_bits > 3:
        return None
    depth = np.iinfo(np.uint8).max // (4 * largest)
    family = Avx2Table(name=f"avx2-table{activation_bits}", depth=depth, largest=largest)
    return family if family.fits(steps) else None
