"""A float island in ONNX: its operators, one by one, in float32."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.export.onnx_operators import OPERATORS
from experiments.export.onnx_writer import Unwritable
from quant.deploy_graph import RunIsland
from quant.errors import BitAllocError

__all__ = ["NotInOnnxError", "write_island"]

WriteNode = Callable[..., None]
"""`(kind, inputs, output, **attributes)`."""
WriteConstant = Callable[[str, npt.NDArray[Any]], str]
"""`(name, value)`, returns the name."""


class NotInOnnxError(BitAllocError):
    """Raised for networks that cannot be written as an ONNX model."""


def write_island(
    op: RunIsland,
    shapes: list[tuple[int, ...]],
    node: WriteNode,
    constant: WriteConstant,
) -> None:
    """Write an island's operators between its inputs and its output.

    Args:
        op: The island.
        shapes: Of its inputs, `(C, H, W)` or `(F,)`.
        node: Writes an operator.
        constant: Writes a float32 or int64 constant.

    Raises:
        NotInOnnxError: it has an operator, or arguments of one, that cannot be written.
    """
    # Imported where there are islands: it imports torch, which takes seconds.
    from quant.capture.float_island import island_shapes

    known = island_shapes(op.module, [(1, *shape) for shape in shapes])
    writer = _Writer(op, known, node, constant)
    for inner in op.module.graph.nodes:
        writer.add(inner)


class _Writer:
    """Gives every value inside the island a name; what `OPERATORS` writes with."""

    def __init__(
        self,
        op: RunIsland,
        shapes: dict[str, tuple[int, ...]],
        node: WriteNode,
        constant: WriteConstant,
    ) -> None:
        self._op, self._shapes = op, shapes
        self._write_node, self._write_constant = node, constant
        self._values: dict[Any, Any] = {}
        self._free = list(op.inputs)
        self._current: Any = None
        self._count = 0

    def add(self, node: Any) -> None:
        self._current, self._count = node, 0
        if node.op == "placeholder":
            self._values[node] = self._free.pop(0)
        elif node.op == "get_attr":
            value = getattr(self._op.module, node.target).detach().numpy()
            self._values[node] = self.constant(value)
        elif node.op == "output":
            self._write_node("Identity", [self.name(node.args[0])], self._op.output)
        else:
            self._values[node] = self._called(node)

    def _called(self, node: Any) -> Any:
        kind = getattr(node.target, "__name__", "") if _is_plain(node.target) else str(node.target)
        try:
            if kind == "getitem":
                parts, index = node.args
                return self._values[parts][index]
            if kind in ("mul", "aten.sym_size.int"):
                return None  # arithmetic on the batch size
            if kind not in OPERATORS:
                raise Unwritable("no ONNX form of it is known here")
            return OPERATORS[kind](self, _arguments(node))
        except Unwritable as error:
            raise NotInOnnxError(
                f"the float island {self._op.name} cannot be written in ONNX because of its "
                f"operator {kind.removeprefix('aten.').partition('.')[0]}: {error}"
            ) from None

    def emit(self, kind: str, inputs: list[Any], **attributes: Any) -> str:
        """Write an operator and return the name of what it makes."""
        output = self._new()
        names = ["" if value is None else self.name(value) for value in inputs]
        self._write_node(kind, names, output, **attributes)
        return output

    def constant(self, value: Any) -> str:
        """Write a constant: integers as int64, all else as float32."""
        array = np.asarray(value)
        kind = np.int64 if array.dtype.kind in "iu" else np.float32
        return self._write_constant(self._new(), array.astype(kind))

    def name(self, value: Any) -> str:
        """Return the name of a value: one of the graph, a name already, or a number."""
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return self.constant(float(value))
        known = self._values.get(value)
        if not isinstance(known, str):
            raise Unwritable("one of its arguments is no tensor of floats")
        return known

    def shape(self, value: Any = None) -> tuple[int, ...]:
        """Return the shape of a value of the graph, or of what is made now, at a batch of one."""
        return self._shapes[(self._current if value is None else value).name]

    def _new(self) -> str:
        self._count += 1
        return f"{self._op.name}/island/{self._current.name}/{self._count}"


def _is_plain(target: Any) -> bool:
    """Whether a target is a function of Python's, and no operator of PyTorch's."""
    return not hasattr(target, "_schema")


def _arguments(node: Any) -> dict[str, Any]:
    """Return the arguments of an operator by name, defaults included."""
    given = {}
    for place, argument in enumerate(node.target._schema.arguments):
        if place < len(node.args):
            given[argument.name] = node.args[place]
        else:
            given[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return given
