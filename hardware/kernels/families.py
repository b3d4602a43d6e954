"""Families: how a kernel multiplies and adds, and for which bits that is exact."""

from dataclasses import dataclass
from typing import Any, Literal

from tvm.tirx.script import builder as T

__all__ = ["LANES", "Family", "choose_family"]

LANES = 8
"""Output channels in one vector: eight int32 accumulators fill an AVX2 register."""

_INT16_MAX = 32767
_DEPTH_CLASSES = (1, 2, 4, 8, 16, 32, 64)
"""Depths that get code of their own; a depth in between takes the class below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One way to compute sums of products. A step is one vector of weights for each tile column."""

    name: str
    products: int
    """Products summed for one output channel in one step."""
    code_dtype: Literal["uint8", "int16"]
    """How activation codes are stored where the kernel reads them."""
    weight_dtype: Literal["int8", "int16"]
    depth: int = 0
    """Steps that are added in 16 bits before they are widened; 0: products are 32-bit at once."""

    def multiply(self, code: Any, weight: Any) -> Any:
        """Return the sums of products of one step.

        Args:
            code: Vector of `products` activation codes.
            weight: Vector of `products * LANES` weight codes, channel by channel.

        Returns:
            int32x8, or int16x16 (two partial sums for each channel) where `depth` is not 0.
        """
        if self.products == 1:
            return T.Cast("int32x8", weight) * T.broadcast(T.Cast("int32", code), LANES)
        word = T.broadcast(T.reinterpret(code, dtype="int32"), LANES)
        if self.depth == 0:
            return _pmaddwd(T.reinterpret(word, dtype="int16x16"), weight)
        # The intrinsic's operands are signed in LLVM's eyes; the first one's bytes count as u8.
        return T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pmadd.ub.sw"),
            T.reinterpret(word, dtype="uint8x32"),
            weight,
            dtype="int16x16",
        )

    def widen(self, sums: Any) -> Any:
        """Return int32x8 of int16x16 partial sums."""
        return _pmaddwd(sums, T.broadcast(T.int16(1), 2 * LANES))


def choose_family(kind: str, weight_bits: int, activation_bits: int) -> Family:
    """Return the cheapest family that is exact for a bit pair.

    Args:
        kind: `avx2` or `generic`.
        weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        activation_bits: Activation codes are in 0..2^activation_bits - 1.

    Source: docs/integers.md, "Accumulation depth": `pmaddubsw` adds two products at a time.
    """
    if kind == "generic":
        return Family(name="generic", products=1, code_dtype="uint8", weight_dtype="int8")
    largest = (2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1)
    depth = _INT16_MAX // (2 * largest)
    if depth == 0:
        return Family(name="avx2-w8", products=2, code_dtype="int16", weight_dtype="int16")
    depth = max(known for known in _DEPTH_CLASSES if known <= depth)
    return Family(
        name=f"avx2-d{depth}", products=4, code_dtype="uint8", weight_dtype="int8", depth=depth
    )


def _pmaddwd(left: Any, right: Any) -> Any:
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pmadd.wd"), left, right, dtype="int32x8"
    )
