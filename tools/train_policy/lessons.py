"""Lessons: drawn networks with drawn losses and budgets, and what the exact solver answers."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from agents.solvers.cost_model import choices_within
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from env.decisions.budget import Budget
from env.decisions.costs import budget_between, cost_table
from env.decisions.decisions import DecisionSpace
from env.responses.columns import Floats
from env.responses.layer_facts import FACTS, layer_facts
from env.responses.table_losses import table_losses
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS
from tools.train_policy.networks import draw_space, draw_times

_LEAST_SHARE, _MOST_SHARE = 0.02, 0.9
"""Budgets, as shares of the way from the cheapest allocation to all-8."""
_LIMITED = (("latency",), ("latency",), ("latency",), ("model_bytes",), ("latency", "model_bytes"))
"""What a budget limits, each as often."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """One network, what it would lose, a budget, and the allocation that loses least inside."""

    space: DecisionSpace
    table: LayerTable
    responses: Floats
    """`[decisions, len(space.widths)]`; NaN where a menu lacks the width."""
    budget: Budget
    best: Allocation

    @property
    def floor(self) -> float:
        """A thousandth of all there is to lose: losses that differ by less are equal."""
        return 1e-3 * float(np.nansum(np.nanmax(self.responses, axis=1)))

    def loss(self, allocation: Allocation) -> float:
        """Return the sum of an allocation's responses; at 8 bits nothing is lost."""
        return float(table_losses(self.space, self.responses, [allocation])[0])


def draw_lesson(seed: int) -> Lesson:
    """Return a lesson; equal seeds give equal ones."""
    rng = np.random.default_rng([seed, 7])
    while True:
        space = draw_space(rng)
        table = draw_times(space.layers, rng)
        responses = draw_responses(space, rng)
        budget = _draw_budget(space, table, rng)
        best = _solved(space, table, responses, budget)
        if best is not None:
            return Lesson(space=space, table=table, responses=responses, budget=budget, best=best)


def draw_responses(space: DecisionSpace, rng: Generator) -> Floats:
    """Return drawn responses, `[decisions, len(space.widths)]`.

    Log-normal, as a posterior's samples are: a level that the layer's facts tell in part, a fall
    with each bit that differs from decision to decision, and what each has for itself.
    """
    count, widths = len(space.decisions), np.array(space.widths)
    facts = np.array(layer_facts(space, space.decisions))
    level = facts @ rng.normal(0.0, 0.3, len(FACTS))
    level = level + rng.uniform(0.3, 1.3) * rng.standard_normal(count)
    fall = -rng.uniform(0.4, 2.6) + rng.uniform(0.0, 0.3) * rng.standard_normal(count)
    logs = level[:, None] + fall[:, None] * (widths - MIN_BITS)
    logs = logs + rng.uniform(0.0, 0.4) * rng.standard_normal(logs.shape)
    responses = np.where(widths < MAX_BITS, np.exp(logs), 0.0)
    offered = np.array([[bits in d.menu for bits in space.widths] for d in space.decisions])
    found: Floats = np.where(offered, responses, np.nan)
    return found


def _draw_budget(space: DecisionSpace, table: LayerTable, rng: Generator) -> Budget:
    """Return a budget of time, bytes or both, far up or far down the way to all-8."""
    time, size = np.exp(rng.uniform(np.log(_LEAST_SHARE), np.log(_MOST_SHARE), 2)).tolist()
    limited = _LIMITED[rng.integers(len(_LIMITED))]
    return Budget(
        latency_ms=budget_between(space, table, time).latency_ms if "latency" in limited else None,
        model_bytes=budget_between(space, table, size, "model_bytes").model_bytes
        if "model_bytes" in limited
        else None,
    )


def _solved(
    space: DecisionSpace, table: LayerTable, responses: Floats, budget: Budget
) -> Allocation | None:
    losses, costs = response_losses(space, responses), cost_table(space, table)
    problem = choices_within(space, losses, costs, budget)
    picks = solve_exact(problem)
    return None if picks is None else problem.allocation(picks)
