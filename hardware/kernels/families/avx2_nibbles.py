"""AVX2 nibbles: weights of four bits or fewer, two in a byte, for layers that wait for memory.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
Half the bytes are read here. A byte has the weights of two channels for the same code: it is
16 * high + low, both signed. Whole bytes are multiplied, and then low halves alone, at the top of
their bytes; what the whole ones have too much is taken off the sums at their end.

    byte of channels c and c + 8    16 * w[c + 8] + w[c]
    first pmaddubsw                 codes by whole bytes:             16 * sum[c + 8] + sum[c]
    second pmaddubsw                codes by 16 * w[c]                16 * sum[c]
    `finish`                        sum[c] = second / 16, sum[c + 8] = (first - sum[c]) / 16

    >>> family = Avx2Nibbles(name="avx2-nibbles", depth=1)
    >>> rows = np.zeros((16, 4), np.int8)  # 16 channels, 4 codes
    >>> rows[0], rows[8] = (-1, 2, 3, 4), (5, -6, 7, -7)
    >>> family.weight_steps(rows)[0, :4].tolist()
    [79, -94, 115, -108]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.vectors import join, parts
from hardware.kernels.families.avx2 import INT32_MAX, Avx2Bytes, pair_depth, pmaddubsw, pmaddwd

_BITS = 4
_LARGEST = 119
"""Largest magnitude of a byte of two weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Nibbles(Avx2Bytes):
    """`pmaddubsw` on two weights in a byte: 64 products a step."""

    channels: int = 16
    accumulator: str = "int16x32"
    carried: tuple[str, ...] = ("int32x8", "int32x8")
    panels: bool = False
    terms: bool = False

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of two products by whole bytes, then those by low halves."""
        words = T.Bind(T.reinterpret(weight, dtype="uint16x16"))
        # x86 shifts no bytes: the neighbour's bits that come along are masked away.
        moved = T.shift_left(words, T.broadcast(T.uint16(_BITS), 16))
        low = T.bitwise_and(moved, T.broadcast(T.uint16(0xF0F0), 16))
        terms = [pmaddubsw(code, one) for one in (weight, T.reinterpret(low, dtype="int8x32"))]
        if total is not None:
            terms = [one + term for one, term in zip(parts(total, 2), terms, strict=True)]
        return join(terms)

    def fold(self, total: Any) -> tuple[Any, ...]:
        """Return both sums of each channel added up."""
        return tuple(pmaddwd(part, T.broadcast(T.int16(1), 16)) for part in parts(total, 2))

    def finish(self, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the sums of low and of high halves."""
        whole, low = carried
        shift = T.broadcast(T.int32(_BITS), 8)
        low = T.shift_right(low, shift)
        return low, T.shift_right(whole - low, shift)

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return bytes of two channels' weights."""
        low, high = rows[..., :8, :], rows[..., 8:, :]
        return Avx2Bytes.weight_steps(self, ((high << _BITS) + low).astype(np.int8))


def choose_avx2_nibbles(
    activation_bits: int, depths: Sequence[int], steps: int
) -> Avx2Nibbles | None:
    """Return the family, or None where it is not exact for codes of a width.

    Args:
        activation_bits: Activation codes are in 0..2^activation_bits - 1.
        depths: Depths that get code of their own.
        steps: Of one sum.
    """
    largest = (2**activation_bits - 1) * _LARGEST
    depth = max((one for one in depths if one <= pair_depth(largest)), default=0)
    if not depth or 4 * steps * largest > INT32_MAX:
        return None
    return Avx2Nibbles(name=f"avx2-n{depth}", depth=depth)
