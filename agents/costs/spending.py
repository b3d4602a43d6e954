"""Spending: what whole rows of bit choices use of a budget, and the way back inside.

For methods that choose freely and are brought into the budget, where masks would keep them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.decisions.costs import CostTable, cost_table, limits_of
from env.decisions.decisions import DecisionSpace
from env.decisions.masks import BudgetMask
from env.errors import BudgetError
from quant.allocation import Allocation

Columns = npt.NDArray[np.int64]
"""int64 `[decisions]`: the place of each decision's width in its own menu."""
Shares = npt.NDArray[np.float64]
"""float64 `[..., resources]`: cost over limit of every budgeted resource; 1 is the limit."""


class Spending:
    """The costs of one network's allocations as shares of one budget."""

    def __init__(self, space: DecisionSpace, costs: CostTable, budget: Budget) -> None:
        """Prepare the table.

        Args:
            space: What may be decided.
            costs: What it costs, in exact integers.
            budget: The limits.

        Raises:
            BudgetError: no allocation meets the budget.
        """
        self.space = space
        self.decisions = space.decisions
        self.choices = np.array([len(decision.menu) for decision in space.decisions])
        """int64 `[decisions]`: how many widths each menu has."""
        self._mask = BudgetMask(space, costs, budget)
        limits = limits_of(budget) or {0: np.iinfo(np.int64).max}  # as the masks: time, unlimited
        self.resources = tuple(sorted(limits))
        self.limits = np.array([limits[index] for index in self.resources], dtype=np.int64)
        self._fixed = costs.fixed[list(self.resources)]
        # A number that is fixed is no decision: its layers read column 0 of tables of that width.
        steps = [[-1 if s is None else s for s in space.steps(la.name)] for la in space.layers]
        self._steps: Columns = np.array(steps, dtype=np.int64)
        # [layers, weight choices, activation choices, resources]
        most = int(self.choices.max())
        self._costs = np.zeros((len(space.layers), most, most, len(self.resources)), dtype=np.int64)
        for row, layer in enumerate(space.layers):
            weights, activations = (space.menu(part) for part in space.parts[layer.name])
            for i, weight in enumerate(weights):
                for j, bits in enumerate(activations):
                    if layer.is_square and weight != bits:
                        continue  # one tensor on both sides of a product
                    pair = costs.pairs[layer.name][weight, bits]
                    self._costs[row, i, j] = pair[list(self.resources)]

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
        weights, tensors = (np.where(steps < 0, 0, columns[..., steps]) for steps in self._steps.T)
        each = self._costs[np.arange(len(self._steps)), weights, tensors]
        total: npt.NDArray[np.int64] = each.sum(axis=-2) + self._fixed
        return total

    def slopes(self, columns: Columns) -> Shares:
        """Return what a bit of each decision costs around `columns`, `[decisions, resources]`.

        Fitted straight lines over all choices, with every other decision as it is; a width that
        costs nothing, or gains by being wider, has 0.
        """
        slopes = np.zeros((len(self.decisions), len(self.resources)))
        for step, decision in enumerate(self.decisions):
            rows = np.repeat(columns[None, :], len(decision.menu), axis=0)
            rows[:, step] = np.arange(len(decision.menu))
            widths = np.array(decision.menu, dtype=np.float64)
            centred = widths - widths.mean()
            slopes[step] = centred @ self.shares(rows) / (centred @ centred)
        per_bit: Shares = np.maximum(slopes, 0.0)
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
        for wanted, decision in zip(columns, self.decisions, strict=True):
            legal = self._mask.outlook(state).legal
            places = [
                place
                for place, bits in enumerate(decision.menu)
                if legal[self.space.widths.index(bits)]
            ]
            chosen.append(min(places, key=lambda place: (abs(place - int(wanted)), place)))
            state = self._mask.advance(state, decision.menu[chosen[-1]])
        return np.array(chosen, dtype=np.int64)

    def columns(self, allocation: Allocation) -> Columns:
        """Return the choices that end in an allocation, the nearest where it has another width."""
        bits = self.space.bits_of(self.space.nearest(self.space.bits_of(allocation)))
        return np.array(
            [d.menu.index(width) for d, width in zip(self.decisions, bits, strict=True)],
            dtype=np.int64,
        )

    def bits(self, columns: Columns) -> list[int]:
        """Return the widths that the choices stand for."""
        return [
            decision.menu[int(column)]
            for decision, column in zip(self.decisions, columns, strict=True)
        ]

    def allocation(self, columns: Columns) -> Allocation:
        """Return the allocation that the choices make."""
        return self.space.allocation(self.bits(columns))

    def spread(self, values: Sequence[Sequence[float]], missing: float) -> Shares:
        """Return one row of values for each decision's menu, `[decisions, most choices]`."""
        table: Shares = np.full((len(self.decisions), int(self.choices.max())), missing)
        for row, of_menu in zip(table, values, strict=True):
            row[: len(of_menu)] = of_menu
        return table


def spending_of(problem: SearchProblem) -> Spending:
    """Return the spending of a problem, its latency and energy as all evaluations so far say.

    A program takes so many times what the layer table adds up to; where with that nothing at all
    would fit, the table is believed as it is.
    """
    costs = cost_table(problem.space, problem.table)
    try:
        return Spending(problem.space, costs, problem.corrected_budget())
    except BudgetError:
        return Spending(problem.space, costs, problem.budget)
