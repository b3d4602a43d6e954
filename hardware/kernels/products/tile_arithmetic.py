"""Small whole matrices times lines of vectors, as a transform of tiles needs them.

Additions take the place of multiplications by small numbers, and a shift and a multiplication that
of an exact division: 36 * 5 over 36 is 180 >> 2 = 45, times the inverse of 9 modulo 2^32.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add, sub
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import element_type, lanes_of, load, local_vector, store

_DOUBLED = 4
"""Smallest factor that takes fewer additions by doubling."""


def transform_line(matrix: Sequence[Sequence[int]], values: Sequence[Any]) -> list[Any]:
    """Return a matrix of small whole numbers times a line of vectors."""
    # Each is used several times.
    values = [keep(value) for value in values]
    result = []
    for row in matrix:
        terms = [
            (count, _times(value, abs(count))) for count, value in zip(row, values, strict=True)
        ]
        total = reduce(add, (term for count, term in terms if count > 0))
        result.append(reduce(sub, (term for count, term in terms if count < 0), total))
    return result


def _times(value: Any, count: int) -> Any:
    """Return a vector times a small whole number, by additions."""
    if count < _DOUBLED:
        return reduce(add, [value] * count) if count else None
    assert count % 2 == 0
    twice = keep(_times(value, count // 2))
    return twice + twice


def divide(value: Any, divisor: int) -> Any:
    """Return an int32 vector of multiples of a divisor over it: by a shift and an inverse."""
    if divisor == 1:
        return value
    lanes, power = lanes_of(value), (divisor & -divisor).bit_length() - 1
    shifted = T.shift_right(value, T.broadcast(T.int32(power), lanes))
    odd = divisor >> power
    if odd == 1:
        return shifted
    # It wraps around, which a plain multiplication of TVM's promises not to.
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.vp.mul"),
        shifted,
        T.broadcast(T.int32(_signed(pow(odd, -1, 1 << 32))), lanes),
        T.broadcast(T.bool(True), lanes),
        T.int32(lanes),
        dtype=f"int32x{lanes}",
    )


def _signed(word: int) -> int:
    """Return the int32 of the same 32 bits."""
    return word - (1 << 32) if word >> 31 else word


def keep(value: Any) -> Any:
    """Emit a local vector: an expression would be copied to each of its uses."""
    lanes = lanes_of(value)
    kept = local_vector(element_type(value), lanes)
    store(kept, 0, value, lanes)
    return load(kept, 0, lanes)
