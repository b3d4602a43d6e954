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

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.avx2_pack import in_order
from hardware.kernels.emitting.emit import load
from hardware.kernels.families.table import ENTRIES, TableFamily


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
