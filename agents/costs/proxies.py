"""Proxies: costs that need no measurement, bit operations and mean bits."""

import numpy as np

from agents.costs.cost_kind import CostKind
from env.decisions.costs import CostTable
from env.decisions.decisions import DecisionSpace, parts_of
from quant.layers import LayerSpec


def proxy_costs(
    kind: CostKind, space: DecisionSpace, costs: CostTable
) -> dict[str, dict[tuple[int, int], int]]:
    """Return a proxy's exact cost of each layer at each pair that the costs know.

    `bops`: bit operations of one image, `macs * weight_bits * activation_bits`, 32 for weights in
    float. `mean_bits`: bits of all weights and of one image's values of every tensor that layers
    read, each tensor counted once; over the number of values that is their mean width.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.4, for bit operations.
    """
    first = {part.layer for part in parts_of(space.layers) if part.kind == "activation"}

    def cost(layer: LayerSpec, weight: int, activation: int) -> int:
        if kind == "bops":
            return layer.macs * weight * activation
        values = int(np.prod(layer.input_shape)) if layer.name in first else 0
        return layer.out_channels * layer.products * weight + values * activation

    return {
        layer.name: {pair: cost(layer, *pair) for pair in costs.pairs[layer.name]}
        for layer in space.layers
    }
