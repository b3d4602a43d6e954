"""Proxies: costs that need no measurement, bit operations and mean bits."""

from collections.abc import Sequence

import numpy as np

from agents.costs.cost_kind import CostKind
from env.decisions.decisions import decision_sequence
from quant.layers import INPUT_BITS, LayerSpec


def choice_pairs(layer: LayerSpec, bit_choices: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of widths that a layer may have; the network's input stays at 8 bits."""
    inputs = (INPUT_BITS,) if layer.reads_input else tuple(bit_choices)
    return tuple((weight, activation) for weight in bit_choices for activation in inputs)


def proxy_costs(
    kind: CostKind, layers: Sequence[LayerSpec], bit_choices: Sequence[int]
) -> dict[str, dict[tuple[int, int], int]]:
    """Return a proxy's exact cost of each layer at each pair.

    `bops`: bit operations of one image, `macs * weight_bits * activation_bits`. `mean_bits`: bits
    of all weights and of one image's values of every tensor that layers read, each tensor counted
    once; over the number of values that is their mean width.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.4, for bit operations.
    """
    first = {d.layer for d in decision_sequence(layers) if d.kind == "activation"}

    def cost(layer: LayerSpec, weight: int, activation: int) -> int:
        if kind == "bops":
            return layer.macs * weight * activation
        values = int(np.prod(layer.input_shape)) if layer.name in first else 0
        return layer.out_channels * layer.products * weight + values * activation

    return {
        layer.name: {pair: cost(layer, *pair) for pair in choice_pairs(layer, bit_choices)}
        for layer in layers
    }
