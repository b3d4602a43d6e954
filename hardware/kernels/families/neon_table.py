"""NEON table: `tbl` looks sums of two products up for sixteen channels at once.

    byte of a pair   q0 + q1 * (largest + 1)               written by the copy (`pair_bytes`)
    its table        lookup[16 * byte .. 16 * byte + 15]   one register
    weights          byte c is the entry of channel c      c = 0 .. 15, see `TableFamily`
    tbl              byte c = table[weights[c]]
    accumulator      byte c += that, for up to `depth` steps

None of its instructions is a multiplication. Cores like the Cortex-A72 start two other instructions
in the time of one multiplication.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.families.table import ENTRIES, TableFamily

_SUMS = 16
"""Accumulators that LLVM keeps in 32 registers beside weights, tables, and what it loads ahead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeonTable(TableFamily):
    """`tbl` on tables of two codes by two ternary weights: 32 products for two instructions."""

    target: ClassVar[str] = "neon"
    pair_scale: int = 1
    channels: int = 16
    weight_lanes: int = 16
    accumulator: str = "uint8x16"
    carried: tuple[str, ...] = ("uint16x8", "uint16x8")
    wide_lanes: int = 4
    lone_weight_loads: float = 1.0

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return the table of two codes."""
        return T.Bind(load(lookup, T.Cast("int32", codes[position // 2]) * ENTRIES, ENTRIES))

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums that the weights choose from the table."""
        term = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.tbl1"), code, weight, dtype="uint8x16"
        )
        return term if total is None else total + term

    def pair_bytes(self, low: Any, high: Any) -> Any:
        """Return the bytes of pairs: first and second codes taken apart, by the pair's factors."""
        first, second = (
            tirx.Shuffle([low, high], list(range(start, 64, 2))) * T.broadcast(T.uint8(factor), 32)
            for start, factor in enumerate(self.pair_factors)
        )
        return first + second

    def sums_in_registers(self, vectors: int) -> int:
        """Return how many accumulators leave room for everything else."""
        return _SUMS

    def most_sums(self, vectors: int) -> int:
        """Return the same: spilling costs more than a larger tile saves."""
        return _SUMS
