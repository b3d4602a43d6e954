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

from hardware.kernels.emitting.vectors import join
from hardware.kernels.epilogue.epilogue import PackedEpilogue


class NeonEpilogue(PackedEpilogue):
    """Five instructions for four channels, and one or two to pack them."""

    lanes = 4

    def rescale(self, values: Any, multiplier: Any) -> Any:
        """Return the codes as the conversion rounds them, saturated."""
        return _call("fcvtns", T.Cast("float32x4", values) * multiplier, dtype="int32x4")

    def add(self, left: Any, right: Any) -> Any:
        """Return the saturated sum."""
        return _call("sqadd", left, right, dtype="int32x4")

    def pack_bytes(self, codes: Sequence[Any]) -> Any:
        """Return uint8x16."""
        words = (self.pack_pair(pair, "int16") for pair in (codes[:2], codes[2:]))
        return join([_call("sqxtun", pair, dtype="uint8x8") for pair in words])

    def pack_pair(self, codes: Sequence[Any], dtype: str) -> Any:
        """Return int16x8."""
        return join([_call("sqxtn", code, dtype="int16x4") for code in codes])


def _call(name: str, *arguments: Any, dtype: str) -> Any:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.aarch64.neon.{name}")
    return T.call_llvm_pure_intrin(intrinsic, *arguments, dtype=dtype)
