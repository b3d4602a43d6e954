"""Random codes of chosen widths in place of trained ones: times do not depend on the values."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from hardware.steps import read_names, steps_of
from quant.deploy_graph import (
    AvgPool2d,
    Concat,
    Conv2d,
    DeployGraph,
    DeployOp,
    DeployTensor,
    Flatten,
    Linear,
    MaxPool2d,
    QuantizeInput,
    Requantize,
)
from quant.layers import INPUT_BITS

__all__ = ["BitPair", "layer_alone", "nothing", "reads_network_input", "with_random_codes"]

BitPair = tuple[int, int]
"""`(weight_bits, activation_bits)`."""

_PASSING = (MaxPool2d, Flatten, Concat)
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
    for op in graph.ops:
        op = _clipped(op, widths)
        if isinstance(op, Conv2d | Linear):
            op = _recoded(op, *bits[op.layer], rng)
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def layer_alone(graph: DeployGraph, layer: str, bits: BitPair, seed: int) -> DeployGraph:
    """Return one layer as a network of its own that reads codes, with random weight codes.

    What the network computes together with the layer comes with it (see `steps_of`); the tensor
    that is added to its output holds zeros.
    """
    (step,) = (step for step in steps_of(graph) if getattr(step.op, "layer", None) == layer)
    assert isinstance(step.op, Conv2d | Linear)
    op = _recoded(step.op, *bits, np.random.default_rng(seed))
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


def nothing(graph: DeployGraph) -> DeployGraph:
    """Return a network that only views its input as a vector: what starting a program takes."""
    shape = graph.tensors[graph.input].shape
    codes = DeployTensor(name="codes", shape=shape, dtype="uint8")
    vector = DeployTensor(name="vector", shape=(prod(shape),), dtype="uint8")
    return DeployGraph(
        network=f"{graph.network}.nothing",
        input=codes.name,
        output=vector.name,
        tensors={codes.name: codes, vector.name: vector},
        ops=(Flatten(input=codes.name, output=vector.name),),
    )


def reads_network_input(graph: DeployGraph) -> frozenset[str]:
    """Return the layers that read the network's input, whose 8 bits are fixed."""
    fixed: set[str] = set()
    for op in graph.ops:
        passes = isinstance(op, _PASSING) and fixed.issuperset(read_names(op))
        if isinstance(op, QuantizeInput) or passes:
            fixed.add(op.output)
    return frozenset(op.layer for op in graph.layer_ops() if op.input in fixed)


def _recoded(
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


def _tensor_widths(graph: DeployGraph, activation_bits: Mapping[str, int]) -> dict[str, int]:
    """Return the width of every tensor that layers read, as far up as it has one quantizer."""
    widths = {op.input: activation_bits[op.layer] for op in graph.layer_ops()}
    for op in reversed(graph.ops):
        if isinstance(op, _PASSING) and op.output in widths:
            for name in read_names(op):
                widths.setdefault(name, widths[op.output])
    return widths


def _clipped(op: DeployOp, widths: Mapping[str, int]) -> DeployOp:
    """Return a producer with the clip of its tensor's new width."""
    bits = widths.get(op.output)
    if bits is None or (isinstance(op, QuantizeInput) and bits == INPUT_BITS):
        return op
    largest = _largest_code(bits)
    if isinstance(op, Requantize | AvgPool2d):
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
