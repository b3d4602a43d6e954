"""Spending: what whole rows of bit choices use of a budget, and the way back inside.

For methods that choose freely and are brought into the budget, where masks would keep them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.decisions.costs import CostTable, cost_table, limits_of
from env.decisions.decisions import allocation_of, bits_of, decision_sequence
from env.decisions.masks import BudgetMask
from env.errors import BudgetError
from quant.allocation import Allocation
from quant.layers import INPUT_BITS, LayerSpec

Columns = npt.NDArray[np.int64]
"""int64 `[decisions]`: the index of the bit choice of each decision, as `decision_sequence`."""
Shares = npt.NDArray[np.float64]
"""float64 `[..., resources]`: cost over limit of every budgeted resource; 1 is the limit."""


class Spending:
    """The costs of one network's allocations as shares of one budget."""

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        costs: CostTable,
        bit_choices: Sequence[int],
        budget: Budget,
    ) -> None:
        """Prepare the table.

        Args:
            layers: The network's layers.
            costs: What they cost, in exact integers.
            bit_choices: Widths that may be chosen, in increasing order.
            budget: The limits.

        Raises:
            BudgetError: no allocation meets the budget.
        """
        self.layers = tuple(layers)
        self.bit_choices = tuple(bit_choices)
        self.decisions = decision_sequence(layers)
        self._mask = BudgetMask(layers, costs, bit_choices, budget)
        limits = limits_of(budget) or {0: np.iinfo(np.int64).max}  # as the masks: time, unlimited
        self.resources = tuple(sorted(limits))
        self.limits = np.array([limits[index] for index in self.resources], dtype=np.int64)
        self._fixed = costs.fixed[list(self.resources)]
        steps = {(d.layer, d.kind): step for step, d in enumerate(self.decisions)}
        first = {d.tensor: d.layer for d in self.decisions if d.kind == "activation"}
        # The network's input is no decision: its layers read column 0 of tables that repeat it.
        self._weight_step = np.array([steps[layer.name, "weight"] for layer in layers])
        self._tensor_step = np.array(
            [-1 if la.reads_input else steps[first[la.tensor], "activation"] for la in layers]
        )
        pairs: npt.NDArray[np.int64] = np.array(
            [
                [
                    [
                        costs.pairs[layer.name][weight, INPUT_BITS if layer.reads_input else bits]
                        for bits in bit_choices
                    ]
                    for weight in bit_choices
                ]
                for layer in layers
            ]
        )
        # [layers, weight choices, activation choices, resources]
        self._costs = pairs[..., list(self.resources)]

    def shares(self, columns: Columns) -> Shares:
        """Return the share of each limit that rows of columns `[..., decisions]` use."""
        shares: Shares = self._total(columns) / self.limits
        return shares

    def inside(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Return whether rows of columns `[..., decisions]` are inside, `[...]`, exactly."""
        allowed: npt.NDArray[np.bool_] = np.all(self._total(columns) <= self.limits, axis=-1)
        return allowed

    def _total(self, columns: Columns) -> npt.NDArray[np.int64]:
        """Return the exact costs of rows of columns, `[..., resources]`."""
        weights, tensors = columns[..., self._weight_step], columns[..., self._tensor_step]
        tensors = np.where(self._tensor_step < 0, 0, tensors)
        each = self._costs[np.arange(len(self.layers)), weights, tensors]
        total: npt.NDArray[np.int64] = each.sum(axis=-2) + self._fixed
        return total

    def slopes(self, columns: Columns) -> Shares:
        """Return what a bit of each decision costs around `columns`, `[decisions, resources]`.

        Fitted straight lines over all choices, with each layer's other width as it is; a width
        that costs nothing, or gains by being wider, has 0.
        """
        widths = np.array(self.bit_choices, dtype=np.float64)
        centred = widths - widths.mean()
        everywhere = np.arange(len(self.layers))
        tensors = np.where(self._tensor_step < 0, 0, columns[self._tensor_step])
        by_weight = self._costs[everywhere, :, tensors] / self.limits
        by_tensor = self._costs[everywhere, columns[self._weight_step]] / self.limits
        slopes = np.zeros((len(self.decisions), len(self.resources)))
        for layer in everywhere:
            slopes[self._weight_step[layer]] += centred @ by_weight[layer]
            if self._tensor_step[layer] >= 0:
                slopes[self._tensor_step[layer]] += centred @ by_tensor[layer]
        per_bit: Shares = np.maximum(slopes / (centred @ centred), 0.0)
        return per_bit

    def nearest(self, columns: Columns) -> Columns:
        """Return columns inside the budget: at every decision in turn the nearest legal choice.

        Of two that are equally near, the smaller. What is inside already stays as it is, unless
        two resources are budgeted and the masks are thinned.
        """
        if self.inside(columns):
            return columns
        state = self._mask.start()
        chosen = []
        for wanted in columns:
            legal = np.flatnonzero(self._mask.outlook(state).legal)
            chosen.append(int(legal[np.abs(legal - wanted).argmin()]))
            state = self._mask.advance(state, self.bit_choices[chosen[-1]])
        return np.array(chosen, dtype=np.int64)

    def columns(self, allocation: Allocation) -> Columns:
        """Return the choices that end in an allocation, the nearest where it has another width."""
        bits = bits_of(self.decisions, allocation)
        choices = np.array(self.bit_choices)
        nearest: Columns = np.abs(choices[None, :] - np.array(bits)[:, None]).argmin(axis=1)
        return nearest

    def allocation(self, columns: Columns) -> Allocation:
        """Return the allocation that the choices make."""
        return allocation_of(self.layers, [self.bit_choices[int(column)] for column in columns])


def spending_of(problem: SearchProblem) -> Spending:
    """Return the spending of a problem, its latency and energy as all evaluations so far say.

    A program takes so many times what the layer table adds up to; where with that nothing at all
    would fit, the table is believed as it is.
    """
    costs = cost_table(problem.layers, problem.table, problem.bit_choices)
    try:
        return Spending(problem.layers, costs, problem.bit_choices, problem.corrected_budget())
    except BudgetError:
        return Spending(problem.layers, costs, problem.bit_choices, problem.budget)
