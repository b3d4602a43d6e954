"""Borders: tensors that carry the padding of their readers around them.

A program keeps a tensor that padded convolutions read with enough rows and columns of the padding's
code around it. They are written once, when the program is put together, so padding costs nothing
when it runs. An image of 2x3 pixels for a convolution with padding 1; `z` is the zero point:

    z z z z z        the border: written once
    z p p p z        pixels: written in every run
    z p p p z
    z z z z z

    >>> stored_shape(DeployTensor(name="x", shape=(2, 3, 8), dtype="uint8", border=(1, 1)), batch=1)
    (1, 4, 5, 8)
"""

from collections.abc import Iterable
from dataclasses import replace

from quant.deploy_graph import (
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployTensor,
    Embedding,
    MatMul,
    Move,
    Reshape,
    read_names,
)


def with_borders(graph: DeployGraph) -> DeployGraph:
    """Return the graph with a border on every tensor that padded convolutions read.

    The largest padding of the readers, or the border that the tensor has already, decides. What is
    read or made in one piece, by a Reshape for example, has none.
    """
    tensors = dict(graph.tensors)
    whole = {
        name
        for op in graph.ops
        if isinstance(op, Reshape | Move | Embedding | Constant | MatMul)
        or (isinstance(op, Concat) and op.axis >= 0)
        for name in (*read_names(op), op.output)
    }
    for op in _convolutions(graph):
        if op.input in whole:
            continue
        tensor = tensors[op.input]
        rows, columns = (max(pair) for pair in zip(tensor.border, op.padding, strict=True))
        tensors[op.input] = replace(tensor, border=(rows, columns))
    return replace(graph, tensors=tensors)


def border_code(graph: DeployGraph, tensor: str) -> int:
    """Return the code of a tensor's border: its zero point, which its readers know."""
    points = (op.input_zero_point for op in _convolutions(graph) if op.input == tensor)
    return next(points, 0)


def stored_shape(tensor: DeployTensor, batch: int) -> tuple[int, ...]:
    """Return the shape of a tensor with its border, batch first."""
    if not tensor.batched:
        return tensor.shape
    if len(tensor.shape) != 3:
        return (batch, *tensor.shape)
    height, width, channels = tensor.shape
    rows, columns = tensor.border
    return (batch, height + 2 * rows, width + 2 * columns, channels)


def _convolutions(graph: DeployGraph) -> Iterable[Conv2d]:
    return (op for op in graph.ops if isinstance(op, Conv2d))
