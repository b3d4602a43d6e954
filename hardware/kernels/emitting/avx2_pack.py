"""AVX2: vectors of int32 as vectors of narrower integers, by saturation.

x86 packs within 128-bit halves, so the words of a result are put in order afterwards. A letter is
a vector of eight int32, `a0` its lanes 0 to 3 and `a4` its lanes 4 to 7:

    pack_words(a, b)             low half       high half
      packssdw a, b              a0 b0          a4 b4
      in_order                   a0 a4          b0 b4           16 words

    pack_bytes([a, b, c, d])
      packssdw a, b              a0 b0          a4 b4
      packssdw c, d              c0 d0          c4 d4
      packuswb of both           a0 b0 c0 d0    a4 b4 c4 d4
      shuffle                    a0 a4 b0 b4    c0 c4 d0 d4     32 bytes
"""

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

_BEYOND = 65536.0
"""More than any code. Larger values are clipped anyway, and would overflow int32."""


def rescale(values: Any, multiplier: Any) -> Any:
    """Return int32x8 of rint(f32(values) * multiplier); below int32 it gives the smallest int32.

    Args:
        values: int32x8 or float32x8.
        multiplier: float32x8.
    """
    real = T.Cast("float32x8", values) * multiplier
    # The conversion rounds to nearest even itself.
    return _call("llvm.x86.avx.cvt.ps2dq.256", T.min(real, T.broadcast(T.float32(_BEYOND), 8)))


def pack_words(low: Any, high: Any) -> Any:
    """Return int16x16 of two int32x8, saturated."""
    return in_order(_call("llvm.x86.avx2.packssdw", low, high, dtype="int16x16"))


def pack_bytes(vectors: Sequence[Any]) -> Any:
    """Return uint8x32 of four int32x8, saturated."""
    low, high = (
        _call("llvm.x86.avx2.packssdw", *vectors[at : at + 2], dtype="int16x16") for at in (0, 2)
    )
    packed = _call("llvm.x86.avx2.packuswb", low, high, dtype="uint8x32")
    # Each 32-bit word holds four neighbours: those of the vectors' low halves come first.
    words = tirx.Shuffle([T.reinterpret(packed, dtype="int32x8")], [0, 4, 1, 5, 2, 6, 3, 7])
    return T.reinterpret(words, dtype="uint8x32")


def in_order(packed: Any) -> Any:
    """Return the result of one pack instruction with the first vector's lanes first."""
    words = tirx.Shuffle([T.reinterpret(packed, dtype="int64x4")], [0, 2, 1, 3])
    return T.reinterpret(words, dtype=str(packed.ty))


def _call(name: str, *arguments: Any, dtype: str = "int32x8") -> Any:
    return T.call_llvm_pure_intrin(T.llvm_lookup_intrinsic_id(name), *arguments, dtype=dtype)
