"""Passes over captured nodes: fuse activations and pads, drop what is not read, refuse others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from quant.capture.graph import TRANSPARENT, WIDE_READERS, NetworkGraph, Node, readers_of
from quant.errors import CaptureError

_MOVES = frozenset({"flatten", "max_pool", "move", "pad"})
"""Operators that a clip commutes with: it is one of maxima, and leaves zeros as they are."""
_READ_ANY = frozenset({"island", "multiply", "output"})
"""Readers of wide codes that read the network's 8-bit ones as well."""
_READS_INPUT = (
    "an addition, average pooling or activation reads the network's input, which travels as 8-bit "
    "codes"
)
# Channels-last flattening permutes the features; only a Linear's columns can take that back.
MASK_HINT = "texts have one fixed length here, and no mask: let padding be a token like others"
_FLATTENED = "an image that is flattened is read by other operators than Linear layers"


def fuse_clips(nodes: Sequence[Node]) -> list[Node]:
    """Move each ReLU into the operator before it, where nothing else reads that operator."""
    fused: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    readers = readers_of(nodes)
    for node in nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if node.kind == "clip" and len(readers[node.inputs[0]]) == 1:
            producer = _behind_moves(fused[inputs[0]], fused, readers)
            if (
                producer.kind in ("conv2d", "linear", "add", "multiply", "matmul")
                and not producer.clip
            ):
                fused[producer.name] = replace(producer, clip=node.clip)
                renamed[node.name] = inputs[0]
                continue
        fused[node.name] = replace(node, inputs=inputs)
    return list(fused.values())


def _behind_moves(
    node: Node, nodes: Mapping[str, Node], readers: Mapping[str, Sequence[Node]]
) -> Node:
    """Return the operator behind moves that alone read it."""
    while node.kind in _MOVES and len(readers[node.inputs[0]]) == 1:
        node = nodes[node.inputs[0]]
    return node


def fold_pads(nodes: Sequence[Node]) -> tuple[list[Node], dict[str, tuple[int, int]]]:
    """Leave out each pad that is the same on both sides and that convolutions alone read.

    Returns:
        The nodes, and by layer the rows and columns that its own padding grows by.
    """
    kept: list[Node] = []
    source: dict[str, str] = {}
    added: dict[str, tuple[int, int]] = {}
    readers = readers_of(nodes)
    for node in nodes:
        inputs = tuple(source.get(name, name) for name in node.inputs)
        padding, convolutions = node.padding, readers[node.name]
        if (
            padding is None
            or padding.before != padding.after
            or not convolutions
            or any(reader.kind != "conv2d" for reader in convolutions)
        ):
            kept.append(replace(node, inputs=inputs))
            continue
        source[node.name] = inputs[0]
        added |= {reader.layer: padding.before for reader in convolutions}
    return kept, added


def drop_unread(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Drop nodes that no output depends on; the input stays."""
    needed = {*outputs, nodes[0].name}
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return [node for node in nodes if node.name in needed]


def misplaced(nodes: Sequence[Node]) -> dict[str, str]:
    """Return why nodes cannot be computed in integers where they are, by their names.

    Args:
        nodes: In execution order, activations fused.
    """
    graph = NetworkGraph(nodes=tuple(nodes), returned=(), layers=())
    reasons = {node.name: _misplaced(node, graph) for node in nodes}
    return {name: reason for name, reason in reasons.items() if reason}


def check_places(nodes: Sequence[Node]) -> None:
    """Refuse networks without a layer, and operators that are misplaced.

    Raises:
        CaptureError: saying which.
    """
    if not any(node.layer for node in nodes):
        raise CaptureError("expected at least one Conv2d or Linear layer, found none")
    for name, reason in misplaced(nodes).items():
        raise CaptureError(f"{reason}: {name}", "put a Conv2d or Linear layer before it")


def check_numbers(nodes: Sequence[Node]) -> None:
    """Refuse numbers of tokens that something else than an embedding reads.

    Raises:
        CaptureError: saying what.
    """
    reading = readers_of(nodes)[nodes[0].name]
    others = [node.name for node in reading if node.kind != "embedding"]
    if others and len(others) < len(reading):
        raise CaptureError(
            f"expected numbers of tokens that embeddings alone look up, found that {others[0]} "
            "reads them as well",
            MASK_HINT,
        )


def _misplaced(node: Node, graph: NetworkGraph) -> str:
    """Return why a node has no integer form where it is, empty where it has one."""
    if node.kind == "move":  # what reads it is misplaced
        return ""
    read = [graph.by_name[name] for name in node.inputs]
    origins = [graph.by_name[one.inputs[0]] if one.kind == "move" else one for one in read]
    if node.kind in WIDE_READERS - _READ_ANY and graph.nodes[0] in origins:
        return _READS_INPUT
    if node.kind in TRANSPARENT and any(_is_wide_input(graph, value) for value in (node, *read)):
        return _READS_INPUT
    if node.kind != "flatten" or read[0].shape[1:] == (1, 1):
        return ""
    others = [reader for reader in graph.readers[node.name] if reader.kind != "linear"]
    return _FLATTENED if others else ""


def _is_wide_input(graph: NetworkGraph, node: Node) -> bool:
    """Whether a value shares the quantizer of the network's input, and is read as wide codes."""
    return graph.tensor_of[node.name] == graph.input and node.name in graph.wide
