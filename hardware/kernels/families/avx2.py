"""AVX2: pairs of products in 16 or 32 bits.

`pmaddwd` multiplies 16-bit codes by 16-bit weights and adds two products in 32 bits: exact for
every pair of widths. `pmaddubsw` multiplies 8-bit codes by 8-bit weights and adds two products in
16 bits, where they may be added up further until 16 bits are full.

The 32 bits of output channel c, one of eight in a register:

    Avx2Words   code       q0           q1           two codes of one pixel, in every lane
                weight     w[c][0]      w[c][1]
                pmaddwd    q0 w[c][0] + q1 w[c][1]                  an int32

    Avx2Bytes   code       q0       q1       q2       q3            four codes of one pixel
                weight     w[c][0]  w[c][1]  w[c][2]  w[c][3]
                pmaddubsw  q0 w[c][0] + q1 w[c][1] | q2 w[c][2] + q3 w[c][3]     two int16
                fold       both added by `pmaddwd` with ones        an int32

With 4-bit codes and weights a step adds at most 2 * 15 * 7 = 210, and 32767 / 210 steps fit. With 8
bits each, not even one does, and `pmaddwd` is left.

    >>> byte_depth(4, 4), byte_depth(8, 7), byte_depth(8, 8)
    (156, 1, 0)

Source: docs/integers.md, "Accumulation depth".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.families.family import CodeDtype, Family, WeightDtype, broadcast_word

INT16_MAX, INT32_MAX = 32767, 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Words(Family):
    """`pmaddwd` on 16-bit operands: 16 products for two instructions."""

    name: str = "avx2-w8"
    channels: int = 8
    products: int = 2
    code_dtype: CodeDtype = "int16"
    weight_dtype: WeightDtype = "int16"
    weight_lanes: int = 16
    accumulator: str = "int32x8"

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return two 16-bit codes in every lane."""
        return T.reinterpret(broadcast_word(codes, position, 2, 8), dtype="int16x16")

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of two products."""
        term = pmaddwd(code, weight)
        return term if total is None else total + term


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2WideBytes(Avx2Words):
    """The same on weights that are read as bytes, for layers that wait for memory."""

    name: str = "avx2-w8-bytes"
    products: int = 4
    weight_dtype: WeightDtype = "int8"
    weight_lanes: int = 32
    panels: bool = False

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return two 16-bit codes in every lane, and the next two."""
        words = (broadcast_word(codes, position + at, 2, 8) for at in (0, 2))
        return [T.reinterpret(word, dtype="int16x16") for word in words]

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of four products: by lower bytes of words, then by upper ones."""
        words, shift = T.Bind(T.reinterpret(weight, dtype="int16x16")), T.broadcast(T.int16(8), 16)
        lower = T.shift_right(T.shift_left(words, shift), shift)
        for codes, weights in zip(code, (lower, T.shift_right(words, shift)), strict=True):
            term = pmaddwd(codes, weights)
            total = term if total is None else total + term
        return total

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the weights of codes 0 and 1 in the lower bytes of words, 2 and 3 in the upper."""
        pairs = rows.reshape(*rows.shape[:-1], -1, 2, 2)
        return Family.weight_steps(self, np.moveaxis(pairs, -2, -1).reshape(rows.shape))


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Bytes(Family):
    """`pmaddubsw`, and 16-bit sums for as many steps as are exact: 32 products a step."""

    name: str
    depth: int
    channels: int = 8
    products: int = 4
    code_dtype: CodeDtype = "uint8"
    weight_dtype: WeightDtype = "int8"
    weight_lanes: int = 32
    accumulator: str = "int16x16"
    carried: tuple[str, ...] = ("int32x8",)

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes in every lane."""
        return T.reinterpret(broadcast_word(codes, position, 4, 8), dtype="uint8x32")

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of two products, two sums for each channel."""
        term = pmaddubsw(code, weight)
        return term if total is None else total + term

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return both sums of each channel added up."""
        return (pmaddwd(total, T.broadcast(T.int16(1), 16)),)


def byte_depth(weight_bits: int, activation_bits: int) -> int:
    """Return how many steps of `pmaddubsw` 16 bits hold for codes of these widths, maybe 0."""
    return pair_depth((2**activation_bits - 1) * (2 ** (weight_bits - 1) - 1))


def pair_depth(largest_product: int) -> int:
    """Return how many steps of `pmaddubsw` 16 bits hold for products up to this one."""
    return INT16_MAX // (2 * largest_product)


def pmaddubsw(codes: Any, weights: Any) -> Any:
    """Return int16x16 sums of two products of u8 codes and s8 weights."""
    # Operands are signed in LLVM's eyes; the bytes of the first one count as u8.
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pmadd.ub.sw"), codes, weights, dtype="int16x16"
    )


def pmaddwd(left: Any, right: Any) -> Any:
    """Return int32x8 sums of two products of 16-bit numbers."""
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pmadd.wd"), left, right, dtype="int32x8"
    )
