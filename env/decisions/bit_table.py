"""Bit table: the bits of an unfinished or finished episode, as text."""

from collections.abc import Sequence

from env.decisions.decisions import decision_sequence
from quant.layers import INPUT_BITS, LayerSpec


def bit_table(layers: Sequence[LayerSpec], bits: Sequence[int]) -> str:
    """Return one line for each layer; `-` stands for what is not decided yet.

    Args:
        layers: The network's layers.
        bits: The bits decided so far, in the order of `decision_sequence`.
    """
    weights: dict[str, int] = {}
    tensors = {layer.tensor: INPUT_BITS for layer in layers if layer.reads_input}
    for decision, width in zip(decision_sequence(layers), bits, strict=False):
        if decision.kind == "weight":
            weights[decision.layer] = width
        else:
            tensors[decision.tensor] = width
    width = max(len("layer"), *(len(layer.name) for layer in layers))
    lines = [f"{'layer':<{width}}  weights  activations"]
    lines += [
        f"{layer.name:<{width}}  {weights.get(layer.name, '-'):>7}  "
        f"{tensors.get(layer.tensor, '-'):>11}"
        for layer in layers
    ]
    return "\n".join(lines)
