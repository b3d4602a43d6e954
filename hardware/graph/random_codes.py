"""Random codes of chosen widths in place of trained ones: times do not depend on the values."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hardware.graph.program_steps import steps_of
from hardware.graph.tensor_widths import PASSING, BitPair, codes_read
from quant.deploy_graph import (
    AvgPool2d,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOp,
    Embedding,
    Linear,
    Lookup,
    MatMul,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    read_names,
)


def with_random_codes(graph: DeployGraph, bits: Mapping[str, BitPair], seed: int) -> DeployGraph:
    """Return the same network at other bits, with random weight codes.

    Clips, zero points and multipliers follow the new widths, so that the integer reference still
    holds and every layer's products show in the output.

    Args:
        graph: The converted network; its weights are not used.
        bits: `{layer: (weight_bits, activation_bits)}` for every layer and product; those that
            read one tensor have equal bits for it, and the network's input has 8.
        seed: Decides the weight codes.
    """
    rng = np.random.default_rng(seed)
    widths = _tensor_widths(graph, bits)
    ops = []
    for op in graph.ops:
        op = _clip(op, widths)
        if isinstance(op, Conv2d | Linear):
            op = _recode(op, *bits[op.layer], rng)
        if isinstance(op, MatMul):
            op = at_widths(op, bits[op.layer])
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def layer_alone(graph: DeployGraph, layer: str, bits: BitPair, seed: int) -> DeployGraph:
    """Return one layer as a network of its own that reads codes, with random weight codes.

    What the network computes together with the layer comes with it (see `steps_of`); the tensor
    that is added to its output holds zeros. The right tensor of a product holds random codes.
    """
    rng = np.random.default_rng(seed)
    (step,) = (
        step
        for step in steps_of(graph)
        if isinstance(step.op, Conv2d | Linear | MatMul) and step.op.layer == layer
    )
    if isinstance(step.op, MatMul):
        return _product_alone(graph, step.op, bits, rng)
    assert isinstance(step.op, Conv2d | Linear)
    op = _recode(step.op, *bits, rng)
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


def _product_alone(
    graph: DeployGraph, op: MatMul, pair: BitPair, rng: np.random.Generator
) -> DeployGraph:
    op = _spread_out(at_widths(op, pair))
    left, right = op.inputs
    ops: tuple[DeployOp, ...] = (op,)
    if left != right:
        codes = rng.integers(0, 2 ** op.bits[1], graph.tensors[right].shape)
        ops = (Constant(output=right, codes=codes.astype(np.uint8)), op)
    return DeployGraph(
        network=f"{graph.network}.{op.layer}",
        input=left,
        output=op.output,
        tensors={name: graph.tensors[name] for name in sorted({*op.inputs, op.output})},
        ops=ops,
    )


def _spread_out(op: MatMul) -> MatMul:
    """Return a product whose output tells any random codes apart, by the same kernel.

    What a softmax makes sums to one, and random codes do not: they would end at the clip.
    """
    largest = [_largest_code(bits) for bits in op.bits]
    points = ((largest[0] + 1) // 2, op.input_zero_points[1])
    squares = [
        top * (top + 2) / 12 + (top / 2 - point) ** 2
        for top, point in zip(largest, points, strict=True)
    ]
    deviation = math.sqrt(op.matrices.depth * math.prod(squares))
    return replace(
        op,
        input_zero_points=points,
        multiplier=float(np.float32((op.clip_max - op.clip_min) / (4 * deviation))),
        zero_point=round((op.clip_min + op.clip_max) / 2),
    )


def at_widths(op: MatMul, pair: BitPair) -> MatMul:
    """Return a product of codes of other widths, which stand for the same reals."""
    widths = tuple(width for _, width in codes_read(op, pair))
    growth = 1.0
    for before, width in zip(op.bits, widths, strict=True):
        growth *= _largest_code(width) / _largest_code(before)
    first, second = (
        min(point, _largest_code(width))
        for point, width in zip(op.input_zero_points, widths, strict=True)
    )
    return replace(
        op,
        bits=(widths[0], widths[1]),
        input_zero_points=(first, second),
        multiplier=float(np.float32(op.multiplier / growth)),
    )


def _tensor_widths(graph: DeployGraph, bits: Mapping[str, BitPair]) -> dict[str, int]:
    """Return the width of every tensor that layers read, as far up as it has one quantizer."""
    widths = {
        name: width for op in graph.decided_ops() for name, width in codes_read(op, bits[op.layer])
    }
    for op in reversed(graph.ops):
        if isinstance(op, PASSING) and op.output in widths:
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
