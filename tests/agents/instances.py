"""Random small problems: tied tensors, staircases that go up and down, one or two limits."""

from collections.abc import Sequence

import numpy as np

from agents.costs.spending import Spending
from env.decisions.budget import Budget
from env.decisions.costs import cost_table, model_bytes
from env.decisions.space import decision_space
from env.testing import conv_layer, random_rules
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS, LayerSpec


def random_layers(rng: np.random.Generator) -> tuple[LayerSpec, ...]:
    """Two to six layers; some read a tensor that another one reads, one or two the input."""
    tensors = ["input", *rng.choice(["a", "b", "c", "d"], size=int(rng.integers(1, 6)))]
    if len(tensors) > 2 and rng.random() < 0.2:
        tensors[-1] = "input"
    return tuple(
        conv_layer(f"l{k}", tensor, channels=int(rng.integers(1, 9)), reads_input=tensor == "input")
        for k, tensor in enumerate(tensors)
    )


def random_table(layers: Sequence[LayerSpec], rng: np.random.Generator) -> LayerTable:
    """Times that mostly grow with the bits, and sometimes fall."""
    return LayerTable(
        times_us={
            layer.name: {
                (weight, activation): float(
                    rng.uniform(0.2, 3.0) + (weight % 23 + activation) * rng.uniform(0.0, 1.0)
                )
                for weight in (*range(2, 9), FLOAT_BITS)
                for activation in range(2, 9)
            }
            for layer in layers
        },
        overhead_us=float(rng.uniform(0.0, 5.0)),
        source="simulated",
        disturbed_share=0.0,
    )


def random_spending(seed: int) -> tuple[Spending, Budget, LayerTable]:
    """A spending whose budget some allocation meets, often only just; half of them with rules."""
    rng = np.random.default_rng(seed)
    layers = random_layers(rng)
    table = random_table(layers, rng)
    choices = sorted(rng.choice(range(2, 9), size=int(rng.integers(2, 8)), replace=False).tolist())
    space = decision_space(layers, choices, random_rules(layers, choices, rng))
    some = space.allocation([int(rng.choice(decision.menu)) for decision in space.decisions])
    slack = float(rng.choice([1.0, 1.05, 1.5])) + 1e-5
    which = rng.integers(3)
    budget = Budget(
        latency_ms=None if which == 1 else table.predict_ms(some) * slack,
        model_bytes=None if which == 0 else int(model_bytes(layers, some) * slack),
    )
    return Spending(space, cost_table(space, table), budget), budget, table


def allows(budget: Budget, spending: Spending, table: LayerTable, allocation: Allocation) -> bool:
    """Whether the budget itself allows an allocation, by the table."""
    return budget.allows(
        latency_ms=table.predict_ms(allocation),
        model_bytes=model_bytes(spending.space.layers, allocation),
        tolerance=1e-12,
    )
