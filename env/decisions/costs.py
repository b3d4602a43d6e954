"""Costs: what each layer's bits use of the budgeted resources, as exact integers.

Integers, because masks compare sums that are added up in different orders: with floats an action
could be legal and its only completion not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from env.decisions.budget import Budget
from env.decisions.decisions import DecisionSpace
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS, INPUT_BITS, LayerSpec

IntVector = npt.NDArray[np.int64]
Resource = Literal["latency", "model_bytes"]

UNITS_PER_US = 1_000_000
"""Latency is counted in picoseconds: 2**63 of them are a hundred days."""
UNITS_PER_UJ = 1_000_000
"""Energy is counted in picojoules: 2**63 of them are nine megajoules."""
_EXCESS = 1e-3
"""Share of a unit forgiven before rounding up, against the error of decimal inputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostTable:
    """Additive costs of a network: one int64 vector `[3]` for each choice.

    The resources are picoseconds, bytes and picojoules; the last are 0 where there is no meter.
    """

    pairs: Mapping[str, Mapping[tuple[int, int], IntVector]]
    """`{layer: {(weight_bits, activation_bits): [picoseconds, bytes, picojoules]}}`."""
    fixed: IntVector
    """What no choice changes: the layer table's overheads."""

    def total(self, allocation: Allocation) -> IntVector:
        """Return what a whole allocation costs, `[picoseconds, bytes, picojoules]`."""
        total = self.fixed.copy()
        for name, bits in allocation.items:
            total += self.pairs[name][bits.weight_bits, bits.activation_bits]
        return total


def layer_bytes(layer: LayerSpec, weight_bits: int) -> int:
    """Return one layer's share of `DeployGraph.weight_bytes`: packed weights and epilogue.

    A product of two tensors has none.

    In float: weights and biases of four bytes each.
    """
    if not layer.has_weights:
        return 0
    weights = layer.out_channels * layer.products
    if weight_bits == FLOAT_BITS:
        return 4 * (weights + layer.out_channels)
    return (weights * weight_bits + 7) // 8 + 8 * layer.out_channels


def model_bytes(layers: Sequence[LayerSpec], allocation: Allocation) -> int:
    """Return the model size of an allocation, equal to its `DeployGraph.weight_bytes`."""
    return sum(layer_bytes(layer, allocation[layer.name].weight_bits) for layer in layers)


def cost_table(space: DecisionSpace, table: LayerTable) -> CostTable:
    """Collect the costs of every layer at every pair that it may have, and at 8 bits."""
    pairs: dict[str, dict[tuple[int, int], IntVector]] = {}
    for layer in space.layers:
        menus = (space.menu(part) for part in space.parts[layer.name])
        weights, activations = (sorted({*menu, INPUT_BITS}) for menu in menus)
        both = [
            (weight, activation)
            for weight in weights
            for activation in activations
            if not layer.is_square or weight == activation
        ]
        rows = np.array(
            [
                [
                    _up(table.layer_us(layer.name, weight, activation) * UNITS_PER_US),
                    layer_bytes(layer, weight),
                    _up(table.layer_uj(layer.name, weight, activation) * UNITS_PER_UJ),
                ]
                for weight, activation in both
            ],
            dtype=np.int64,
        )
        pairs[layer.name] = dict(zip(both, rows, strict=True))
    fixed = np.array(
        [_up(table.overhead_us * UNITS_PER_US), 0, _up(table.overhead_uj * UNITS_PER_UJ)],
        dtype=np.int64,
    )
    return CostTable(pairs=pairs, fixed=fixed)


def budget_between(
    space: DecisionSpace,
    table: LayerTable,
    share: float,
    resource: Resource = "latency",
) -> Budget:
    """Return a budget so far on the way from the cheapest allocation to all-8.

    Args:
        space: What may be decided.
        table: Measured times.
        share: 0 for the cheapest, whichever it is, 1 for all-8.
        resource: What is limited.
    """
    costs = cost_table(space, table)
    dearest = costs.total(Allocation.uniform(space.layers, INPUT_BITS))
    cheapest = costs.fixed + sum(
        np.min([costs.pairs[layer.name][pair] for pair in space.pairs(layer.name)], axis=0)
        for layer in space.layers
    )
    picoseconds, size, _ = cheapest + share * (dearest - cheapest)
    if resource == "model_bytes":
        return Budget(model_bytes=math.ceil(size))
    return Budget(latency_ms=float(picoseconds) / UNITS_PER_US / 1000.0)


def limits_of(budget: Budget) -> dict[int, int]:
    """Return `{resource index: limit}` in the units of `CostTable`; free resources are absent."""
    limits: dict[int, int] = {}
    if budget.latency_ms is not None:
        limits[0] = math.floor(budget.latency_ms * 1000.0 * UNITS_PER_US + _EXCESS)
    if budget.model_bytes is not None:
        limits[1] = math.floor(budget.model_bytes)
    if budget.energy_mj is not None:
        limits[2] = math.floor(budget.energy_mj * 1000.0 * UNITS_PER_UJ + _EXCESS)
    return limits


def _up(value: float) -> int:
    """Round up, so that what the integers allow is inside the budget in floats too."""
    return math.ceil(value - _EXCESS)
