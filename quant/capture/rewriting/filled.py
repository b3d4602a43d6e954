"""Whole numbers that are all the same, and read nothing of another tensor but its sizes.

A text's kinds of tokens often are: they look up the same row for every text.

    before    torch.zeros_like(tokens)
    after     torch.full(tokens.shape, 0)
"""

from typing import Any

import torch
from torch import fx

from quant.capture.exported import argument, is_fixed, operator_name

_FILLS = {"zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1}
_FILLED_BY_ARGUMENT = {"full_like": 1, "new_full": 2}
"""With the place of their number."""


def fill_by_size(program: Any) -> None:
    """Let whole numbers that `zeros_like` and the like make depend on sizes alone, in place.

    Args:
        program: What `torch.export.export` returned.
    """
    graph: fx.Graph = program.graph
    for node in list(graph.nodes):
        name = operator_name(node)
        if name in _FILLS:
            fill = _FILLS[name]
        elif name in _FILLED_BY_ARGUMENT:
            fill = argument(node, _FILLED_BY_ARGUMENT[name])
        else:
            continue
        value = node.meta["val"]
        if isinstance(fill, fx.Node) or value.dtype.is_floating_point:
            continue
        with graph.inserting_before(node):
            if name.startswith("new_"):
                sizes = list(node.args[1])
            else:
                sizes = [_size(graph, node.args[0], axis) for axis in range(value.ndim)]
            made = graph.call_function(
                torch.ops.aten.full.default,
                (sizes, fill),
                {"dtype": value.dtype, "device": value.device, "pin_memory": False},
            )
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        graph.erase_node(node)
    program.graph_module.recompile()


def _size(graph: fx.Graph, source: Any, axis: int) -> Any:
    """Return a size of a tensor, or the node that reads it where the batch decides it."""
    size = source.meta["val"].shape[axis]
    if is_fixed(size):
        return int(size)
    read = graph.call_function(torch.ops.aten.sym_size.int, (source, axis))
    read.meta = {**source.meta, "val": size}
    return read
