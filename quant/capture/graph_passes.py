"""Passes over captured nodes: fuse activations and pads, drop what is not read, refuse others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from quant.capture.graph import WIDE_READERS, NetworkGraph, Node, readers_of
from quant.errors import CaptureError

_READ_ANY = frozenset({"island", "multiply", "output"})
"""Readers of wide codes that read the network's 8-bit ones as well."""


def fuse_clips(nodes: Sequence[Node]) -> list[Node]:
    """Move each ReLU into the operator before it, where nothing else reads that operator."""
    fused: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    readers = readers_of(nodes)
    for node in nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if node.kind == "clip" and len(readers[node.inputs[0]]) == 1:
            producer = _behind_moves(fused[inputs[0]], fused, readers)
            if producer.kind in ("conv2d", "linear", "add", "multiply") and not producer.clip:
                fused[producer.name] = replace(producer, clip=node.clip)
                renamed[node.name] = inputs[0]
                continue
        fused[node.name] = replace(node, inputs=inputs)
    return list(fused.values())


def _behind_moves(
    node: Node, nodes: Mapping[str, Node], readers: Mapping[str, Sequence[Node]]
) -> Node:
    """Return the operator behind max poolings and pads that alone read it.

    A clip commutes with maxima, and leaves zeros as they are.
    """
    while node.kind in ("max_pool", "pad") and len(readers[node.inputs[0]]) == 1:
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


def check_nodes(nodes: Sequence[Node]) -> None:
    """Refuse graphs that have operators of the right kinds in places with no integer form.

    Raises:
        CaptureError: naming the operator.
    """
    by_name = {node.name: node for node in nodes}
    readers = readers_of(nodes)
    if not any(node.layer for node in nodes):
        raise CaptureError("expected at least one Conv2d or Linear layer, found none")
    graph = NetworkGraph(nodes=tuple(nodes), returned=(), layers=())
    first = graph.tensor_of[nodes[0].name]
    for node in nodes:
        joined = graph.tensor_of[node.name] == first and node.name in graph.wide
        reads = nodes[0].name in node.inputs and node.kind in WIDE_READERS - _READ_ANY
        if not joined and not reads:
            continue
        raise CaptureError(
            "an addition, average pooling or activation reads the network's input, which travels "
            "as 8-bit codes",
            "put a Conv2d or Linear layer first",
        )
    for node in nodes:
        if node.kind == "flatten" and by_name[node.inputs[0]].shape[1:] != (1, 1):
            _check_flatten(node, readers[node.name])


def _check_flatten(node: Node, readers: Sequence[Node]) -> None:
    # Channels-last flattening permutes the features; only a Linear's columns can take that back.
    if other := [reader.name for reader in readers if reader.kind != "linear"]:
        raise CaptureError(
            f"{node.name}: flattened images must be read by Linear layers, found {other[0]}"
        )
