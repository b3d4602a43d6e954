"""Decisions: which numbers an episode fixes, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from env.errors import ActionError
from quant.allocation import Allocation, LayerBits
from quant.layers import INPUT_BITS, LayerSpec

DecisionKind = Literal["weight", "activation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One step of an episode: one bit-width to choose."""

    layer: str
    """The layer whose turn it is; for activations, the first layer that reads the tensor."""
    kind: DecisionKind
    tensor: str
    """The quantized tensor the layer reads; an activation decision fixes its bits for all
    layers that read it."""


def decision_sequence(layers: Sequence[LayerSpec]) -> tuple[Decision, ...]:
    """List the decisions of an episode: for each layer its weights, then the tensor it reads.

    A tensor that several layers read is decided once, at the first of them, and the network's
    input never, because its 8 bits are fixed.
    """
    decided = {layer.tensor for layer in layers if layer.reads_input}
    decisions: list[Decision] = []
    for layer in layers:
        decisions.append(Decision(layer=layer.name, kind="weight", tensor=layer.tensor))
        if layer.tensor not in decided:
            decided.add(layer.tensor)
            decisions.append(Decision(layer=layer.name, kind="activation", tensor=layer.tensor))
    return tuple(decisions)


def allocation_of(layers: Sequence[LayerSpec], bits: Sequence[int]) -> Allocation:
    """Turn the chosen bits, in the order of `decision_sequence`, into an Allocation.

    Raises:
        ActionError: too few or too many bits for the network's decisions.
    """
    decisions = decision_sequence(layers)
    if len(bits) != len(decisions):
        raise ActionError(f"expected {len(decisions)} decided bit-widths, found {len(bits)}")
    weight_bits: dict[str, int] = {}
    tensor_bits = {layer.tensor: INPUT_BITS for layer in layers if layer.reads_input}
    for decision, width in zip(decisions, bits, strict=True):
        if decision.kind == "weight":
            weight_bits[decision.layer] = width
        else:
            tensor_bits[decision.tensor] = width
    return Allocation(
        tuple(
            (
                layer.name,
                LayerBits(
                    weight_bits=weight_bits[layer.name], activation_bits=tensor_bits[layer.tensor]
                ),
            )
            for layer in layers
        )
    )


def bits_of(decisions: Sequence[Decision], allocation: Allocation) -> tuple[int, ...]:
    """Return the bits that an episode would have to choose to end in `allocation`."""
    chosen = dict(allocation.items)
    return tuple(
        chosen[decision.layer].weight_bits
        if decision.kind == "weight"
        else chosen[decision.layer].activation_bits
        for decision in decisions
    )
