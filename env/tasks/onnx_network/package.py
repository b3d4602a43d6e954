"""The package onnx, which is not part of the core installation."""

from typing import Any

from quant.errors import BitAllocError


def import_onnx(wanted: str, hint: str = "") -> Any:
    """Return the package onnx.

    Args:
        wanted: What it is needed for, in words.
        hint: What can be done without it.

    Raises:
        BitAllocError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise BitAllocError(
            f"expected the package onnx for {wanted}, found none",
            f"pip install 'bitalloc[onnx]'{hint}",
        ) from None
    return onnx
