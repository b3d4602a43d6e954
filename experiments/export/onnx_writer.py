"""What operators are written into an ONNX model with, and how one says that it cannot be."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["Given", "Unwritable", "Write", "Writer", "as_list", "expect"]

Given = dict[str, Any]
"""The arguments of an operator of PyTorch's, by name."""


class Unwritable(Exception):
    """Raised for what has no form in ONNX; the message says why."""


class Writer(Protocol):
    """What operators are written with."""

    def emit(self, kind: str, inputs: list[Any], **attributes: Any) -> str:
        """Write an operator and return the name of what it makes; None leaves an input out."""

    def constant(self, value: Any) -> str:
        """Write a constant and return its name."""

    def name(self, value: Any) -> str:
        """Return the name of a value of the graph, or of a number."""

    def shape(self, value: Any = None) -> tuple[int, ...]:
        """Return the shape of a value of the graph, or of what is made now."""


Write = Callable[[Writer, Given], Any]
"""Writes one operator; returns the name of the result, or several for one that makes a tuple."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise Unwritable with the reason `otherwise`, unless the condition holds."""
    if not holds:
        raise Unwritable(otherwise)


def as_list(value: int | Sequence[int]) -> list[int]:
    """Return one or several numbers as a list."""
    return [value] if isinstance(value, int) else list(value)
