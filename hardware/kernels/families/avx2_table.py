"""AVX2 table: `pshufb` looks sums of two products up for 32 channels at once.

    byte of a pair   2 * (q0 + q1 * (largest + 1))        written by the copy (`pair_bytes`)
    its table        lookup[8 * byte .. 8 * byte + 15]     16 bytes, put into both halves
    weights          byte c is the entry of channel c      c = 0 .. 31, see `TableFamily`
    pshufb           byte c = table[weights[c]]
    accumulator      byte c += that, for up to `depth` steps

Codes 3 and 1 of 2 bits: the byte is 2 * (3 + 1 * 4) = 14, and the table starts at 112.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.avx2_pack import in_order
from hardware.kernels.emitting.emit import load
from hardware.kernels.emitting.vectors import join, parts
from hardware.kernels.families.table import ENTRIES, TableFamily

_HALF_BITS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Table(TableFamily):
    """`pshufb` on tables of two codes by two ternary weights: 64 products for two instructions."""

    target: ClassVar[str] = "avx2"
    pair_scale: int = 2  # x86 scales an address by 8 at most, and a table has 16 bytes
    channels: int = 32
    weight_lanes: int = 32
    accumulator: str = "uint8x32"
    carried: tuple[str, ...] = ("uint16x16", "uint16x16")

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return the table of two codes, in both halves."""
        place = T.Cast("int32", codes[position // 2]) * (ENTRIES // self.pair_scale)
        table = load(lookup, place, ENTRIES)
        return T.call_intrin("uint8x32", "tirx.vectorcombine", table, table)

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums that the weights choose from the table."""
        term = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pshuf.b"), code, weight, dtype="uint8x32"
        )
        return term if total is None else total + term

    def pair_bytes(self, low: Any, high: Any) -> Any:
        """Return the bytes of pairs: `pmaddubsw` by the pair's factors, packed."""
        first, second = self.pair_factors
        factors = T.reinterpret(T.broadcast(T.int16(first + 256 * second), 16), dtype="int8x32")
        words = [
            T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pmadd.ub.sw"),
                codes,
                factors,
                dtype="int16x16",
            )
            for codes in (low, high)
        ]
        packed = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.x86.avx2.packuswb"), *words, dtype="uint8x32"
        )
        return in_order(packed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2HalfTable(Avx2Table):
    """The same on entries of which a byte has two, for layers that wait for memory.

    The low half of byte c is the entry of channel c, the high half that of channel c + 32.
    """

    target: ClassVar[str] = "avx2-half"
    channels: int = 64
    accumulator: str = "uint8x64"
    carried: tuple[str, ...] = ("uint16x16",) * 4
    panels: bool = False
    terms: bool = False

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums that the low halves choose, then those of the high halves."""
        words = T.Bind(T.reinterpret(weight, dtype="uint16x16"))
        # x86 shifts no bytes: the neighbour's bits that come along are masked away.
        moved = T.shift_right(words, T.broadcast(T.uint16(_HALF_BITS), 16))
        mask = T.broadcast(T.uint8(ENTRIES - 1), 32)
        halves = (weight, T.reinterpret(moved, dtype="uint8x32"))
        sums = [None, None] if total is None else parts(total, 2)
        return join(
            [
                Avx2Table.multiply_add(self, one, code, T.bitwise_and(half, mask))
                for one, half in zip(sums, halves, strict=True)
            ]
        )

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return the low halves' sums as words, then the high halves' (see `TableFamily.fold`)."""
        return tuple(wide for part in parts(total, 2) for wide in Avx2Table.fold(self, part))

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums of low halves as int32, then those of high halves."""
        halves = (carried[:2], carried[2:])
        return tuple(sums for half in halves for sums in Avx2Table.finish(self, half))

    def wide_places(self) -> npt.NDArray[np.intp]:
        """Return the channels in the order of `finish`."""
        half = Avx2Table.wide_places(self)
        return np.concatenate([half, half + self.weight_lanes])

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return two entries in a byte for each pair of weights."""
        entries = Avx2Table.weight_steps(self, rows)
        low, high = np.split(entries, 2, axis=-1)
        both: npt.NDArray[np.uint8] = low | high << _HALF_BITS
        return both
