"""Attention in one piece, written as the two products and the softmax that it is."""

from typing import Any

import torch
from torch import fx

from quant.capture.exported import argument

_aten = torch.ops.aten
_PLACES = {"attn_mask": 3, "dropout_p": 4, "is_causal": 5}
"""Positions of what an attention may have beside queries, keys and values."""
_KEPT_META = ("stack_trace", "nn_module_stack")


def split_attention(graph: fx.Graph) -> None:
    """Replace, in place, each attention without a mask by its parts.

    One with a mask, or with fewer keys' heads than queries', stays in one piece, in float.
    """
    for node in list(graph.nodes):
        if node.target is _aten.scaled_dot_product_attention.default and _is_plain(node):
            _split(graph, node)


def _is_plain(node: fx.Node) -> bool:
    beside = [node.kwargs.get(name, argument(node, at)) for name, at in _PLACES.items()]
    if any(beside) or node.kwargs.get("enable_gqa"):
        return False
    heads = {str(read.meta["val"].shape[:-2]) for read in node.all_input_nodes}
    return len(heads) == 1


def _split(graph: fx.Graph, node: fx.Node) -> None:
    queries, keys, values = (_tensor(node.args[place]) for place in range(3))
    scale = node.kwargs.get("scale")
    if scale is None:
        scale = int(queries.meta["val"].shape[-1]) ** -0.5
    asked, known = queries.meta["val"], keys.meta["val"]
    scores = asked.new_empty((*asked.shape[:-1], known.shape[-2]))

    def made(target: Any, arguments: tuple[Any, ...], value: torch.Tensor) -> fx.Node:
        new = graph.call_function(target, arguments)
        new.meta = {name: node.meta[name] for name in _KEPT_META if name in node.meta}
        new.meta["val"] = value
        return new

    with graph.inserting_before(node):
        turned = made(_aten.transpose.int, (keys, -2, -1), known.transpose(-2, -1))
        products = made(_aten.matmul.default, (queries, turned), scores)
        scaled = made(_aten.mul.Tensor, (products, scale), scores)
        shares = made(_aten.softmax.int, (scaled, -1), scores)
        mixed = made(_aten.matmul.default, (shares, values), node.meta["val"])
    node.replace_all_uses_with(mixed)
    graph.erase_node(node)


def _tensor(value: Any) -> fx.Node:
    assert isinstance(value, fx.Node)
    return value
