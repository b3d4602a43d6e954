"""VNNI: `vpdpbusd` multiplies four codes by four weights of each channel and adds them in 32 bits.

Codes are unsigned and weights signed, as they travel: exact for every pair of widths. AVX-512 VNNI
has 16 channels in a vector and 32 registers; AVX-VNNI, of CPUs without AVX-512, 8 and 16.
"""

from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.families.family import CodeDtype, Family, WeightDtype, broadcast_word

__all__ = ["AVX512_VNNI", "AVX_VNNI", "Vnni"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Vnni(Family):
    """`vpdpbusd`: four products of each channel an instruction."""

    channels: int
    weight_lanes: int
    accumulator: str
    wide_lanes: int
    registers: int
    """Vector registers of the CPU."""
    products: int = 4
    code_dtype: CodeDtype = "uint8"
    weight_dtype: WeightDtype = "int8"
    step_instructions: float = 1.0

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane."""
        word = broadcast_word(codes, position, self.products, self.channels)
        return T.reinterpret(word, dtype=f"uint8x{self.weight_lanes}")

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of four products."""
        total = T.broadcast(T.int32(0), self.channels) if total is None else total
        return T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id(f"llvm.x86.avx512.vpdpbusd.{32 * self.channels}"),
            total,
            code,
            weight,
            dtype=self.accumulator,
        )

    def sums_in_registers(self, vectors: int) -> int:
        """Return how many accumulators leave room for the weights and one pixel's codes."""
        return self.registers - vectors - 1

    def most_sums(self, vectors: int) -> int:
        """Return the same: spills cost more than a larger tile saves."""
        return self.registers - 1


AVX512_VNNI = Vnni(
    name="avx512-vnni",
    channels=16,
    weight_lanes=64,
    accumulator="int32x16",
    wide_lanes=16,
    registers=32,
)
AVX_VNNI = Vnni(
    name="avx-vnni",
    channels=8,
    weight_lanes=32,
    accumulator="int32x8",
    wide_lanes=8,
    registers=16,
)
