"""VNNI: `vpdpbusd` multiplies four codes by four weights of each channel and adds them in 32 bits.

Codes are unsigned and weights signed, as they travel: exact for every pair of widths. AVX-512 VNNI
has 16 channels in a vector and 32 registers; AVX-VNNI, of CPUs without AVX-512, 8 and 16.

A step takes four neighbouring codes q0 to q3 of one pixel. Every 32-bit lane gets the same four,
and meets them with the weights of its own output channel:

    lane       0                         1                         ...   7
    code       q0 q1 q2 q3               q0 q1 q2 q3                     q0 q1 q2 q3
    weight     w[0][0] .. w[0][3]        w[1][0] .. w[1][3]              w[7][0] .. w[7][3]
    total  +=  q0 w[0][0] + .. + q3 w[0][3]                              channel 7's

Codes 3, 0, 7, 1 and weights -1, 2, 1, 5 of channel 0 add -3 + 0 + 7 + 5 = 9 to lane 0.
"""

from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.families.family import CodeDtype, Family, WeightDtype, broadcast_word

_IN_FLIGHT = 10.0
"""Multiplications under way at a time, in two units with a latency of five cycles."""
_ENOUGH_SUMS = 16
_FAR_VECTOR = 3.0
"""Half cycles that a vector of weights takes from the second cache (measured)."""
_BESIDE = 0.25
"""Cost of a load beside multiplications that take longer (measured)."""


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
    waits: bool = True
    panels: bool = False

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane."""
        word = broadcast_word(codes, position, self.products, self.channels)
        return T.reinterpret(word, dtype=f"uint8x{self.weight_lanes}")

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of four products."""
        return self.add_products(total, code, weight)

    def add_products(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return int32 total + the sums of four products of u8 codes and s8 weights."""
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
        """Return the same, or 16: enough to be as fast as the multiplier, and quickly finished."""
        return min(self.sums_in_registers(vectors), _ENOUGH_SUMS)

    def step_cost(self, pixels: int, vectors: int, *, is_near: bool) -> float:
        """Return half cycles of one step: two multiplications or two loads start in a cycle."""
        reads = vectors * (1.0 if is_near else _FAR_VECTOR)
        loads = max(pixels + vectors, reads)
        return max(pixels * vectors, loads, _IN_FLIGHT) + _BESIDE * (pixels + reads)


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
