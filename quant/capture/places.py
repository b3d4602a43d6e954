"""Places: the module and the user's line of source behind an exported operator, for messages."""

from torch import fx

PLACE = "stack_trace"
"""Where torch.fx keeps a node's place, and carries it through further exports."""


def where(node: fx.Node) -> str:
    """Return the module and the user's source line behind an exported node."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(list(stack.values())), ("", ""))
    kind = getattr(kind, "__name__", str(kind)).rpartition(".")[2]
    module = f"module {path or 'the network itself'} ({kind})" if kind else f"node {node.name}"
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    places = [line for line in lines if line.startswith("File ") and "/torch/" not in line]
    return f"{module}, {places[-1]}" if places else module


def operator_name(node: fx.Node) -> str:
    """Return PyTorch's name of an exported operator, without its overload."""
    return str(node.target).removeprefix("aten.").partition(".")[0].rstrip("_")


def place_of(node: fx.Node) -> str:
    """Return what `where` said of a node of an island, exported again or not."""
    return str(node.meta.get(PLACE) or "")
