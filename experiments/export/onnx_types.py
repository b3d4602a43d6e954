"""ONNX's integer types: the narrowest that holds weights of some bits, and how it stores them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OPSETS", "StoredType", "packed_bytes", "type_for"]

OPSETS = (21, 25)
"""Versions of ONNX's operators that can be written: the first with types of four bits, and the
first with types of two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredType:
    """A signed integer type of ONNX."""

    name: str
    """Its name in `onnx.TensorProto`."""
    bits: int


def type_for(bits: int, opset: int) -> StoredType:
    """Return the narrowest signed type that holds codes of `bits` bits, 2 to 8.

    Args:
        bits: Width of the codes.
        opset: Version of ONNX's operators, which decides what types there are.
    """
    if bits <= 2 and opset >= OPSETS[1]:
        return StoredType(name="INT2", bits=2)
    return StoredType(name="INT4", bits=4) if bits <= 4 else StoredType(name="INT8", bits=8)


def packed_bytes(codes: npt.NDArray[Any], stored: StoredType) -> bytes:
    """Return codes as ONNX stores them; of those in one byte, the first has its lowest bits."""
    flat = codes.reshape(-1)
    if stored.bits >= 8:
        return flat.astype(f"int{stored.bits}").tobytes()
    count = 8 // stored.bits
    filled = np.zeros(-(-flat.size // count) * count, np.uint8)
    filled[: flat.size] = flat.astype(np.int8).view(np.uint8) & (2**stored.bits - 1)
    shifts = stored.bits * np.arange(count, dtype=np.uint8)
    packed: npt.NDArray[np.uint8] = np.bitwise_or.reduce(
        filled.reshape(-1, count) << shifts, axis=1
    )
    return packed.tobytes()
