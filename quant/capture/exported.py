"""What a node of an exported program says of itself."""

from typing import Any

from torch import fx


def argument(node: fx.Node, position: int, default: Any = None) -> Any:
    """Return a positional argument of an exported node, or the operator's default."""
    return node.args[position] if len(node.args) > position else default


def shape_of(node: Any) -> tuple[int, ...]:
    """Return the shape of an exported node's value, without the batch.

    A sequence `[N, C, L]` is an image of one row, `(C, 1, L)`.
    """
    shape = tuple(int(size) for size in node.meta["val"].shape[1:])
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def where(node: fx.Node) -> str:
    """Return the module and the user's source line behind an exported node."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(list(stack.values())), ("", ""))
    kind = getattr(kind, "__name__", str(kind)).rpartition(".")[2]
    module = f"module {path or 'the network itself'} ({kind})" if kind else f"node {node.name}"
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    places = [line for line in lines if line.startswith("File ") and "/torch/" not in line]
    return f"{module}, {places[-1]}" if places else module
