"""AVX-512's epilogue: sixteen sums at once, rounded by the conversion, packed by saturation.

x86 packs within 128-bit parts, so the words of a result are put in order afterwards. A letter is a
vector of sixteen int32, `a0` its lanes 0 to 3, `a4` its lanes 4 to 7, and so on:

                        part 0         part 1         part 2         part 3
    packssdw a, b       a0 b0          a4 b4          a8 b8          a12 b12
    packssdw c, d       c0 d0          c4 d4          c8 d8          c12 d12
    packuswb of both    a0 b0 c0 d0    a4 b4 c4 d4    a8 b8 c8 d8    a12 b12 c12 d12
    shuffled            a0 a4 a8 a12   b0 b4 b8 b12   c0 c4 c8 c12   d0 d4 d8 d12
"""

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import lanes_of
from hardware.kernels.epilogue.epilogue import Avx2Epilogue, Outputs, PackedEpilogue, Scaling

_LANES = 16
_BEYOND = 65536.0
"""More than any code. Larger values are clipped anyway, and would overflow int32."""
_ALL = -1
_CURRENT_ROUNDING = 4
"""The rounding that the process has set: to nearest even, unless somebody changed it."""


class Avx512Epilogue(PackedEpilogue):
    """Sums of sixteen channels; the sums of a depthwise layer come eight by eight."""

    lanes = _LANES

    def emit(
        self, sums: Sequence[Any], constant: Any, scaling: Scaling, outputs: Outputs, real: int
    ) -> None:
        """Emit one pixel's outputs."""
        if lanes_of(sums[0]) < _LANES:
            Avx2Epilogue().emit(sums, constant, scaling, outputs, real)
        else:
            PackedEpilogue.emit(self, sums, constant, scaling, outputs, real)

    def rescale(self, values: Any, multiplier: Any) -> Any:
        """Return the codes as the conversion rounds them; below int32 it gives the smallest."""
        real = T.Cast("float32x16", values) * multiplier
        return _call(
            "mask.cvtps2dq.512",
            T.min(real, T.broadcast(T.float32(_BEYOND), _LANES)),
            T.broadcast(T.int32(0), _LANES),
            T.int16(_ALL),
            T.int32(_CURRENT_ROUNDING),
            dtype="int32x16",
        )

    def pack_bytes(self, codes: Sequence[Any]) -> Any:
        """Return uint8x64."""
        packed = _bytes(_words(*codes[:2]), _words(*codes[2:]))
        # Each 128-bit part of a packed vector holds four neighbours of each vector.
        return _shuffle(packed, "int32", _part_by_part(4, 4))

    def pack_pair(self, codes: Sequence[Any], dtype: str) -> Any:
        """Return uint8x32 or int16x32."""
        words = _words(*codes)
        if dtype == "uint8":
            return _shuffle(_bytes(words, words), "int32", _part_by_part(2, 4))
        return _shuffle(words, "int64", _part_by_part(2, 2))


def _part_by_part(vectors: int, step: int) -> list[int]:
    """Return where each vector's elements are, if every 128-bit part has one of `step` vectors."""
    return [vector + step * part for vector in range(vectors) for part in range(4)]


def _words(low: Any, high: Any) -> Any:
    return _call("packssdw.512", low, high, dtype="int16x32")


def _bytes(low: Any, high: Any) -> Any:
    return _call("packuswb.512", low, high, dtype="uint8x64")


def _shuffle(vector: Any, element: str, order: Sequence[int]) -> Any:
    """Return chosen elements of a vector, whose own type may be narrower."""
    own, lanes = str(vector.ty).split("x")
    size = int(element.removeprefix("int")) // int(own.lstrip("uint"))
    source = T.reinterpret(vector, dtype=f"{element}x{int(lanes) // size}")
    return T.reinterpret(tirx.Shuffle([source], list(order)), dtype=f"{own}x{len(order) * size}")


def _call(name: str, *arguments: Any, dtype: str) -> Any:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.x86.avx512.{name}")
    return T.call_llvm_pure_intrin(intrinsic, *arguments, dtype=dtype)
