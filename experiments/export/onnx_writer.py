"""What operators are written into an ONNX model with, and how one says that it cannot be."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Given = dict[str, Any]
"""The arguments of an operator of PyTorch's, by name."""


class Unwritable(Exception):
    """Raised for what has no form in ONNX; the message says why."""


class Writer:
    """Writes the operators of a traced module; gives every value inside it a name."""

    def __init__(
        self,
        name: str,
        shapes: dict[str, tuple[int, ...]],
        node: Callable[..., None],
        constant: Callable[[str, npt.NDArray[Any]], str],
    ) -> None:
        """Prepare for one module.

        Args:
            name: What all names begin with.
            shapes: Of its values, by the names of their nodes.
            node: Writes an operator: `(kind, inputs, output, **attributes)`.
            constant: Writes `(name, value)`, float32 or int64, and returns the name.
        """
        self.values: dict[Any, Any] = {}
        """What the nodes so far made: a name, or several of one that makes a tuple."""
        self._name, self._shapes = name, shapes
        self._write_node, self._write_constant = node, constant
        self._current: Any = None
        self._count = 0

    def begin(self, node: Any) -> None:
        """Name what is written from now on after a node."""
        self._current, self._count = node, 0

    def emit(self, kind: str, inputs: list[Any], **attributes: Any) -> str:
        """Write an operator and return the name of what it makes; None leaves an input out."""
        output = self._new()
        names = ["" if value is None else self.name(value) for value in inputs]
        self._write_node(kind, names, output, **attributes)
        return output

    def emit_several(
        self, kind: str, inputs: list[Any], count: int, **attributes: Any
    ) -> list[str]:
        """Write an operator that makes several values; None leaves an input out."""
        outputs = [self._new() for _ in range(count)]
        names = ["" if value is None else self.name(value) for value in inputs]
        self._write_node(kind, names, outputs, **attributes)
        return outputs

    def sizes(self, sizes: Sequence[Any]) -> str:
        """Return the name of a shape, int64 `[rank]`, of which the batch's size may be one."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(list(sizes))
        parts = []
        for size in sizes:
            if isinstance(size, int):
                parts.append(self.constant([size]))
                continue
            if str(size.target) != "aten.sym_size.int":
                raise Unwritable("the batch size is multiplied in its shape")
            source, axis = size.args
            parts.append(self.emit("Shape", [source], start=axis, end=axis + 1))
        return self.emit("Concat", parts, axis=0)

    def constant(self, value: Any) -> str:
        """Write a constant and return its name: integers as int64, all else as float32."""
        array = np.asarray(value)
        kind = np.int64 if array.dtype.kind in "iu" else np.float32
        return self._write_constant(self._new(), array.astype(kind))

    def name(self, value: Any) -> str:
        """Return the name of a value: one of the graph, a name already, or a number."""
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return self.constant(float(value))
        known = self.values.get(value)
        if not isinstance(known, str):
            raise Unwritable("one of its arguments is no tensor of floats")
        return known

    def shape(self, value: Any = None) -> tuple[int, ...]:
        """Return the shape of a value of the graph, or of what is made now, at a batch of one."""
        return self._shapes[(self._current if value is None else value).name]

    def _new(self) -> str:
        self._count += 1
        return f"{self._name}/{self._current.name}/{self._count}"


Write = Callable[[Writer, Given], Any]
"""Writes one operator; returns the name of the result, or several for one that makes a tuple."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise Unwritable with the reason `otherwise`, unless the condition holds."""
    if not holds:
        raise Unwritable(otherwise)


def as_list(value: int | Sequence[int]) -> list[int]:
    """Return one or several numbers as a list."""
    return [value] if isinstance(value, int) else list(value)
