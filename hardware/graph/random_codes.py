"""Random codes of chosen widths in place of trained ones: times do not depend on the values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hardware.graph.program_steps import steps_of
from quant.deploy_graph import (
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOp,
    Embedding,
    Linear,
    Lookup,
    MatMul,
    MaxPool2d,
    Move,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
    read_names,
)
from quant.layers import INPUT_BITS

BitPair = tuple[int, int]
"""`(weight_bits, activation_bits)`."""

_PASSING = (MaxPool2d, Reshape, Move, Concat, Pad2d)
"""Operators whose output has the quantizer of their input."""


def with_random_codes(graph: DeployGraph, bits: Mapping[str, BitPair], seed: int) -> DeployGraph:
    """Return the same network at other bits, with random weight codes.

    Clips, zero points and multipliers follow the new widths, so that the integer reference still
    holds and every layer's products show in the output.

    Args:
        graph: The converted network; its weights are not used.
        bits: `{layer: (weight_bits, activation_bits)}` for every layer; layers that read one
            tensor have equal activation bits, and those that read the network's input have 8.
        seed: Decides the weight codes.
    """
    rng = np.random.default_rng(seed)
    widths = _tensor_widths(graph, {name: pair[1] for name, pair in bits.items()})
    ops = []
    quantizers = _quantizers(graph)
    of_quantizers = {quantizers[name]: width for name, width in widths.items()}
    for op in graph.ops:
        op = _clip(op, widths)
        if isinstance(op, Conv2d | Linear):
            op = _recode(op, *bits[op.layer], rng)
        if isinstance(op, MatMul):
            op = _at_widths(op, [of_quantizers.get(quantizers[name]) for name in op.inputs])
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def layer_alone(graph: DeployGraph, layer: str, bits: BitPair, seed: int) -> DeployGraph:
    """Return one layer as a network of its own that reads codes, with random weight codes.

    What the network computes together with the layer comes with it (see `steps_of`); the tensor
    that is added to its output holds zeros.
    """
    (step,) = (step for step in steps_of(graph) if getattr(step.op, "layer", None) == layer)
    assert isinstance(step.op, Conv2d | Linear)
    op = _recode(step.op, *bits, np.random.default_rng(seed))
    names = {op.input, op.output, *step.reads, *step.writes, step.wide}
    return DeployGraph(
        network=f"{graph.network}.{layer}",
        input=op.input,
        output=step.writes[-1],
        tensors={name: graph.tensors[name] for name in sorted(names)},
        ops=(op, *step.followers),
        zeros=() if step.other is None else (step.other,),
        kept=step.writes[:-1],
    )


def spread_choices(
    graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool, seed: int
) -> Iterator[dict[str, BitPair]]:
    """Yield bits of all layers, so that each layer has each of its pairs equally often.

    With n choices there are n * n allocations, or n where bits are equal. Each layer walks through
    the choices from a place of its own, so that neighbours meet at ever other bits.

    Args:
        graph: The converted network.
        bit_choices: The widths that may be chosen.
        equal_bits: Weights and activations of one width, where the layer may choose both.
        seed: Decides the places and the order.
    """
    rng = np.random.default_rng(seed)
    fixed, tensors, count = reads_network_input(graph), _quantizers(graph), len(bit_choices)
    starts = {name: int(rng.integers(count)) for name in dict.fromkeys(tensors.values())}
    own = {op.layer: int(rng.integers(count)) for op in graph.layer_ops()}
    cells = [(i, j) for i in range(count) for j in range(count) if i == j or not equal_bits]
    for cell in rng.permutation(len(cells)):
        i, j = cells[cell]
        chosen = {}
        for op in graph.layer_ops():
            activation_bits = bit_choices[(i + starts[tensors[op.input]]) % count]
            weight_bits = bit_choices[(j + own[op.layer]) % count]
            if op.layer in fixed:
                activation_bits = INPUT_BITS
            elif equal_bits:
                weight_bits = activation_bits
            chosen[op.layer] = (weight_bits, activation_bits)
        yield chosen


def _quantizers(graph: DeployGraph) -> dict[str, str]:
    """Return, for each tensor, one that stands for all tensors of its quantizer."""
    first = {name: name for name in graph.tensors}
    for op in graph.ops:
        if isinstance(op, _PASSING):
            same = {first[name] for name in (op.output, *read_names(op))}
            one = min(same)
            first = {name: one if root in same else root for name, root in first.items()}
    return first


def reads_network_input(graph: DeployGraph) -> frozenset[str]:
    """Return the layers that read the network's input, whose 8 bits are fixed."""
    fixed: set[str] = set()
    for op in graph.ops:
        passes = isinstance(op, _PASSING) and fixed.issuperset(read_names(op))
        reads = isinstance(op, QuantizeInput) and op.input == graph.input
        if reads or passes or isinstance(op, Constant):  # which joins whatever it is joined to
            fixed.add(op.output)
    return frozenset(op.layer for op in graph.layer_ops() if op.input in fixed)


def _recode(
    op: Conv2d | Linear, weight_bits: int, activation_bits: int, rng: np.random.Generator
) -> Conv2d | Linear:
    largest = _largest_weight(weight_bits)
    weight = rng.integers(-largest, largest, op.weight.shape, dtype=np.int8, endpoint=True)
    # Codes of other widths stand for the same reals. Were the old multiplier kept, narrow codes
    # would vanish behind the bias, and a wrong product would never show in the result.
    growth = (largest * _largest_code(activation_bits)) / (
        _largest_weight(op.weight_bits) * _largest_code(op.activation_bits)
    )
    epilogue = replace(
        op.epilogue,
        bias=np.rint(op.epilogue.bias * growth).astype(np.int32),
        multiplier=(op.epilogue.multiplier / growth).astype(np.float32),
    )
    return replace(
        op,
        weight=weight,
        epilogue=epilogue,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        input_zero_point=min(op.input_zero_point, _largest_code(activation_bits)),
    )


def _at_widths(op: MatMul, widths: Sequence[int | None]) -> MatMul:
    """Return a product that reads codes of other widths; None where a width stays."""
    left, right = (width or own for width, own in zip(widths, op.bits, strict=True))
    points = (
        min(op.input_zero_points[0], _largest_code(left)),
        min(op.input_zero_points[1], _largest_code(right)),
    )
    return replace(op, bits=(left, right), input_zero_points=points)


def _tensor_widths(graph: DeployGraph, activation_bits: Mapping[str, int]) -> dict[str, int]:
    """Return the width of every tensor that layers read, as far up as it has one quantizer."""
    widths = {op.input: activation_bits[op.layer] for op in graph.layer_ops()}
    for op in reversed(graph.ops):
        if isinstance(op, _PASSING) and op.output in widths:
            for name in read_names(op):
                widths.setdefault(name, widths[op.output])
    return widths


def _clip(op: DeployOp, widths: Mapping[str, int]) -> DeployOp:
    """Return a producer with the clip of its tensor's new width."""
    bits = widths.get(op.output)
    if bits is None or (isinstance(op, QuantizeInput) and op.clip_max == 2**bits - 1):
        return op
    largest = _largest_code(bits)
    if isinstance(op, Lookup):
        codes = np.rint(op.table * (largest / max(int(op.table.max()), 1)))
        return replace(op, table=codes.astype(op.table.dtype))
    if isinstance(op, Constant):
        return replace(op, codes=np.minimum(op.codes, largest).astype(op.codes.dtype))
    if isinstance(op, Embedding):
        return replace(op, table=np.minimum(op.table, largest).astype(op.table.dtype))
    if isinstance(op, Pad2d):
        return replace(op, zero_point=min(op.zero_point, largest))
    if isinstance(op, QuantizeInput | Requantize | AvgPool2d | Multiply | MatMul):
        return replace(
            op,
            multiplier=float(np.float32(op.multiplier * largest / op.clip_max)),
            zero_point=min(op.zero_point, largest),
            clip_max=largest,
        )
    if isinstance(op, Conv2d | Linear) and not op.epilogue.logits:
        epilogue = replace(
            op.epilogue,
            multiplier=(op.epilogue.multiplier * (largest / op.epilogue.clip_max)).astype(
                np.float32
            ),
            zero_point=min(op.epilogue.zero_point, largest),
            clip_max=largest,
        )
        return replace(op, epilogue=epilogue)
    return op


def _largest_weight(bits: int) -> int:
    return int(2 ** (bits - 1)) - 1


def _largest_code(bits: int) -> int:
    return int(2**bits) - 1
