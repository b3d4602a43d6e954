"""NEON's epilogue: conversions that round and saturate, and narrowing that saturates.

Sixteen channels, a letter for the four of one vector:

    fcvtns          a  b  c  d     int32x4 each, rounded to nearest even
    sqadd           a  b  c  d     + zero point
    sqxtn           ab     cd      int16x8 each, joined from halves
    sqxtun          abcd           uint8x16, joined from halves

Source: docs/integers.md, "Requantization".
"""

from collections.abc import Sequence
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.vectors import joined
from hardware.kernels.epilogue.epilogue import PackedEpilogue

__all__ = ["NeonEpilogue"]


class NeonEpilogue(PackedEpilogue):
    """Five instructions for four channels, and one or two to pack them."""

    lanes = 4

    def rounded(self, values: Any, multiplier: Any) -> Any:
        """Return the codes as the conversion rounds them, saturated."""
        return _call("fcvtns", T.Cast("float32x4", values) * multiplier, dtype="int32x4")

    def added(self, left: Any, right: Any) -> Any:
        """Return the saturated sum."""
        return _call("sqadd", left, right, dtype="int32x4")

    def packed(self, codes: Sequence[Any], dtype: str) -> list[Any]:
        """Return the codes as the narrowing instructions saturate them."""
        result, at = [], 0
        while len(codes) - at >= 4 and dtype == "uint8":
            words = (_words(codes[at + first : at + first + 2]) for first in (0, 2))
            result.append(joined([_call("sqxtun", pair, dtype="uint8x8") for pair in words]))
            at += 4
        while len(codes) - at >= 2:
            result.append(_words(codes[at : at + 2]))
            at += 2
        return [*result, *codes[at:]]


def _words(codes: Sequence[Any]) -> Any:
    """Return two int32x4 as int16x8."""
    return joined([_call("sqxtn", code, dtype="int16x4") for code in codes])


def _call(name: str, *arguments: Any, dtype: str) -> Any:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.aarch64.neon.{name}")
    return T.call_llvm_pure_intrin(intrinsic, *arguments, dtype=dtype)
