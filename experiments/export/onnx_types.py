"""ONNX's integer types: the narrowest that holds weights of some bits, and codes of it."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Opset = Literal[21, 25]
OPSETS: tuple[Opset, ...] = (21, 25)
"""Versions of ONNX's operators that can be written: the first with types of four bits, and the
first with types of two."""


def type_for(bits: int, opset: int) -> str:
    """Return the narrowest signed type that holds codes of `bits` bits, 2 to 8.

    Args:
        bits: Width of the codes.
        opset: Version of ONNX's operators, which decides what types there are.
    """
    if bits <= 2 and opset >= OPSETS[1]:
        return "INT2"
    return "INT4" if bits <= 4 else "INT8"


def narrow(codes: npt.NDArray[np.int8], bits: int, opset: int) -> npt.NDArray[Any]:
    """Return codes in the type `type_for` says, of which onnx packs several into a byte."""
    import ml_dtypes  # comes with onnx

    kinds = {"INT2": ml_dtypes.int2, "INT4": ml_dtypes.int4, "INT8": np.int8}
    return codes.astype(kinds[type_for(bits, opset)])
