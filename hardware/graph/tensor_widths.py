"""Whose bits the tensors of a converted network have: their quantizers, and what is fixed."""

from collections.abc import Iterator

from quant.deploy_graph import (
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    Linear,
    MatMul,
    MaxPool2d,
    Move,
    Pad2d,
    QuantizeInput,
    Reshape,
    read_names,
)

PASSING = (MaxPool2d, Reshape, Move, Concat, Pad2d)
"""Operators whose output has the quantizer of their input."""

BitPair = tuple[int, int]
"""`(weight_bits, activation_bits)`; of a product of two tensors, those of its right and left."""


def codes_read(
    op: Conv2d | Linear | MatMul, pair: BitPair | None = None
) -> Iterator[tuple[str, int]]:
    """Yield the tensors of codes that a layer or a product reads, with their bits.

    Args:
        op: The operator.
        pair: Its bits; None for those that it has.
    """
    right, left = op.pair if pair is None else pair
    if isinstance(op, MatMul):
        yield from zip(op.inputs, (left, right), strict=True)
    else:
        yield op.input, left


def quantizers(graph: DeployGraph) -> dict[str, str]:
    """Return, for each tensor, one that stands for all tensors of its quantizer."""
    first = {name: name for name in graph.tensors}
    for op in graph.ops:
        if isinstance(op, PASSING):
            same = {first[name] for name in (op.output, *read_names(op))}
            one = min(same)
            first = {name: one if root in same else root for name, root in first.items()}
    return first


def fixed_tensors(graph: DeployGraph) -> frozenset[str]:
    """Return the tensors of the network's input, whose 8 bits are fixed."""
    fixed: set[str] = set()
    for op in graph.ops:
        passes = isinstance(op, PASSING) and fixed.issuperset(read_names(op))
        reads = isinstance(op, QuantizeInput) and op.input == graph.input
        if reads or passes or isinstance(op, Constant):  # which joins whatever it is joined to
            fixed.add(op.output)
    return frozenset(fixed)


def reads_network_input(graph: DeployGraph) -> frozenset[str]:
    """Return the layers that read the network's input, whose 8 bits are fixed."""
    fixed = fixed_tensors(graph)
    return frozenset(op.layer for op in graph.layer_ops() if op.input in fixed)
