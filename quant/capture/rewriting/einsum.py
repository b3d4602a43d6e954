"""Einsums of two tensors that multiply matrices, as permutations and a product.

    before    einsum("bqhd,bkhd->bhqk", queries, keys)
    after     queries.permute(0, 2, 1, 3) @ keys.permute(0, 2, 3, 1)

Others stay as they are: those that sum over two axes, or repeat or broadcast one.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from quant.capture.exported import operator_name

_Matrices = tuple[list[int], list[int], list[int]]
"""Permutations of both tensors before they are multiplied, and of the product."""


def multiply_einsums(program: Any) -> None:
    """Write einsums as products of matrices, in place, where they are such.

    Args:
        program: What `torch.export.export` returned.
    """
    graph: fx.Graph = program.graph
    for node in list(graph.nodes):
        if operator_name(node) != "einsum" or len(node.args[1]) != 2:
            continue
        found = matrices_of(str(node.args[0]))
        if found is None:
            continue
        *sides, back = found
        with graph.inserting_before(node):
            first, second = (
                _call(graph, node, torch.ops.aten.permute.default, source, order)
                for source, order in zip(node.args[1], sides, strict=True)
            )
            made = _call(graph, node, torch.ops.aten.matmul.default, first, second)
            made = _call(graph, node, torch.ops.aten.permute.default, made, back)
        node.replace_all_uses_with(made)
        graph.erase_node(node)
    program.graph_module.recompile()


def matrices_of(equation: str) -> _Matrices | None:
    """Return how the tensors of an einsum lie as matrices, None where it multiplies none.

        >>> matrices_of("bid, bjd -> bij")
        ([0, 1, 2], [0, 2, 1], [0, 1, 2])
        >>> matrices_of("nchw,ndhw->ncd") is None
        True

    Args:
        equation: With the axes of two tensors, and of what is made.
    """
    read, arrow, out = equation.replace(" ", "").partition("->")
    first, _, second = read.partition(",")
    letters = (first, second, out)
    if not arrow or any(len(set(axes)) < len(axes) or "." in axes for axes in letters):
        return None
    if len({axes[:1] for axes in letters}) > 1:  # the batch is first in all
        return None
    shared = [axis for axis in out if axis in first and axis in second]
    rows = [axis for axis in first if axis not in second]
    columns = [axis for axis in second if axis not in first]
    summed = [axis for axis in first if axis in second and axis not in out]
    sides = (rows, columns, summed)
    if not shared or any(len(side) != 1 for side in sides) or not {*rows, *columns} <= {*out}:
        return None
    made = [*shared, *rows, *columns]
    return (
        _places([*shared, *rows, *summed], first),
        _places([*shared, *summed, *columns], second),
        _places(out, made),
    )


def _places(axes: Sequence[str], among: Sequence[str]) -> list[int]:
    return [among.index(axis) for axis in axes]


def _call(graph: fx.Graph, like: fx.Node, operator: Any, *arguments: Any) -> fx.Node:
    """Add an operator where another one is; one that leaves all axes in place is left out."""
    source, order = arguments
    if isinstance(order, list) and order == sorted(order):
        return source  # type: ignore[no-any-return]
    made = graph.call_function(operator, arguments)
    values = [one.meta["val"] if isinstance(one, fx.Node) else one for one in arguments]
    made.meta = {**like.meta, "val": operator(*values)}
    return made
