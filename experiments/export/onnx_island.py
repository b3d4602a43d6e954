"""A float island in ONNX: its operators, one by one, in float32."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from experiments.export.onnx_operators import OPERATORS
from experiments.export.onnx_writer import Unwritable, Writer
from quant.deploy_graph import RunIsland
from quant.errors import BitAllocError


class NotInOnnxError(BitAllocError):
    """Raised for networks that cannot be written as an ONNX model."""


def write_island(
    op: RunIsland,
    shapes: list[tuple[int, ...]],
    write_node: Callable[..., None],
    write_constant: Callable[[str, npt.NDArray[Any]], str],
) -> None:
    """Write an island's operators between its inputs and its output.

    Args:
        op: The island.
        shapes: Of its inputs, `(C, H, W)` or `(F,)`.
        write_node: See `Writer`.
        write_constant: See `Writer`.

    Raises:
        NotInOnnxError: it has an operator, or arguments of one, that cannot be written.
    """
    # Imported where there are islands: it imports torch, which takes seconds.
    from quant.capture.float_island import island_shapes

    known = island_shapes(op.module, [(1, *shape) for shape in shapes])
    writer = Writer(f"{op.name}/island", known, write_node, write_constant)
    inputs, fixed = iter(op.inputs), _fixed(op.module)
    for node in op.module.graph.nodes:
        writer.begin(node)
        if node.op == "placeholder":
            writer.values[node] = next(inputs)
        elif node in fixed:
            array = fixed[node].numpy()
            read = any(user not in fixed for user in node.users)
            if read and array.dtype.kind != "b":
                writer.values[node] = writer.constant(array)
        elif node.op == "output":
            write_node("Identity", [writer.name(node.args[0])], op.output)
        else:
            writer.values[node] = _write_call(writer, node, op.name)


def _fixed(module: Any) -> dict[Any, Any]:
    """Return the tensors that are made of nothing but constants, as positions are, by node."""
    from torch.fx.node import map_arg

    fixed: dict[Any, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            fixed[node] = getattr(module, node.target).detach()
        elif _makes_a_tensor(node) and all(read in fixed for read in node.all_input_nodes):
            arguments = map_arg((node.args, node.kwargs), fixed.__getitem__)
            fixed[node] = node.target(*arguments[0], **arguments[1])
    return fixed


def _makes_a_tensor(node: Any) -> bool:
    if node.op != "call_function" or _is_plain(node.target):
        return False
    return [str(returned.type) for returned in node.target._schema.returns] == ["Tensor"]


def _write_call(writer: Writer, node: Any, island: str) -> Any:
    kind = getattr(node.target, "__name__", "") if _is_plain(node.target) else str(node.target)
    try:
        if kind == "getitem":
            parts, index = node.args
            return writer.values[parts][index]
        if kind in ("mul", "aten.sym_size.int"):
            return None  # arithmetic on the batch size
        if kind not in OPERATORS:
            raise Unwritable("no ONNX form of it is known here")
        return OPERATORS[kind](writer, _arguments(node))
    except Unwritable as error:
        raise NotInOnnxError(
            f"the float island {island} cannot be written in ONNX because of its operator "
            f"{kind.removeprefix('aten.').partition('.')[0]}: {error}"
        ) from None


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
