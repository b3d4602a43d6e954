"""What a node of an exported program says of itself."""

from typing import Any

from torch import fx

from quant.errors import CaptureError

PLACE = "stack_trace"
"""Where torch.fx keeps a node's place, and carries it through further exports."""


def argument(node: fx.Node, position: int, default: Any = None) -> Any:
    """Return a positional argument of an exported node, or the operator's default."""
    return node.args[position] if len(node.args) > position else default


def shape_of(node: Any) -> tuple[int, ...]:
    """Return the shape of an exported node's value, without the batch.

    A sequence `[N, C, L]` is an image of one row, `(C, 1, L)`.
    """
    sizes = node.meta["val"].shape[1:]
    if not all(map(is_fixed, sizes)):
        raise CaptureError(f"{where(node)}: the batch is not the first size of {list(sizes)}")
    shape = tuple(int(size) for size in sizes)
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def is_fixed(size: Any) -> bool:
    """Whether a size does not depend on the batch; asking for its value would fix the batch."""
    return str(size).isdecimal()


def where(node: fx.Node) -> str:
    """Return the module and the user's source line behind an exported node."""
    path, kind = _module(node)
    kind = getattr(kind, "__name__", str(kind)).rpartition(".")[2]
    module = f"module {path or 'the network itself'} ({kind})" if kind else f"node {node.name}"
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    places = [line for line in lines if line.startswith("File ") and "/torch/" not in line]
    return f"{module}, {places[-1]}" if places else module


def module_of(node: fx.Node) -> str:
    """Return the dotted name of the module behind an exported node, empty for the network."""
    return _module(node)[0]


def _module(node: fx.Node) -> tuple[str, Any]:
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(list(stack.values())), ("", ""))
    return str(path), kind


def operator_name(node: fx.Node) -> str:
    """Return PyTorch's name of an exported operator, without its overload."""
    return str(node.target).removeprefix("aten.").partition(".")[0].rstrip("_")


def uncast(node: fx.Node) -> fx.Node:
    """Return what an exported node makes numbers of another type of, or else the node itself."""
    while operator_name(node) in ("to", "_to_copy", "long", "int") and node.args:
        (source,) = node.all_input_nodes
        node = source
    return node


def place_of(node: fx.Node) -> str:
    """Return what `where` said of a node of an island, exported again or not."""
    return str(node.meta.get(PLACE) or "")
