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
    and products read, each tensor counted once; over the number of values that is their mean
    width.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.4, for bit operations.
    """
    first = {(part.layer, part.kind) for part in parts_of(space.layers) if part.is_tensor}

    def cost(layer: LayerSpec, weight: int, activation: int) -> int:
        if kind == "bops":
            return layer.macs * weight * activation
        left, right = (
            int(np.prod(shape)) if (layer.name, kind) in first else 0
            for shape, kind in ((layer.input_shape, "activation"), (layer.right_shape, "weight"))
        )
        weights = layer.out_channels * layer.products if layer.has_weights else right
        return weights * weight + left * activation

    return {
        layer.name: {pair: cost(layer, *pair) for pair in costs.pairs[layer.name]}
        for layer in space.layers
    }
