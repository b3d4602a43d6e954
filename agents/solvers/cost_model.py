"""Cost model: the costs a method may look at, and the budget it has to keep, as ChoiceProblems.

The budget is always kept, by the table, in exact integers. A method that looks at the budget's
own resources has them as limits. One that looks at a proxy (bit operations, mean bits, or a
resource that is not budgeted) sees nothing else; its limit is raised as long as its answer still
keeps the budget, which is what someone who can only turn that knob would do.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from agents.costs.cost_kind import RESOURCES, CostKind, check_cost
from agents.costs.proxies import proxy_costs
from agents.search import SearchProblem
from agents.solvers.choice_problem import ChoiceProblem, Integers, LayerChoices, Picks
from env.decisions.budget import Budget
from env.decisions.costs import CostTable, cost_table, limits_of
from env.decisions.decisions import DecisionSpace, own_parts
from env.sensitivity.sensitivities import Sensitivities, rise_of
from quant.allocation import Allocation
from quant.layers import LayerSpec

_BISECTIONS = 12
"""Halvings of a proxy's range: to a four-thousandth of it."""

Losses = Mapping[str, Mapping[tuple[int, int], float]]
"""`{layer: {(weight_bits, activation_bits): loss}}`, additive over layers."""

Solve = Callable[[ChoiceProblem, Collection[Picks]], Picks | None]
"""Returns the best picks that are not among those excluded."""


def layer_losses(space: DecisionSpace, rises: Sensitivities) -> Losses:
    """Return each layer's losses; what a tensor loses is counted at the first that reads it."""

    def lost(layer: str, pair: tuple[int, int]) -> float:
        return sum(
            rise_of(rises, layer, part.kind, bits)
            for part, bits in own_parts(space, layer, pair).items()
        )

    return {
        layer.name: {pair: lost(layer.name, pair) for pair in space.pairs(layer.name)}
        for layer in space.layers
    }


def choices_within(
    space: DecisionSpace, losses: Losses, costs: CostTable, budget: Budget
) -> ChoiceProblem:
    """Return the choices of a space with a budget's own resources as costs and limits."""
    limits = limits_of(budget)
    columns = sorted(limits)
    return ChoiceProblem(
        layers=tuple(
            _choices(space, layer, losses, costs.pairs[layer.name], columns)
            for layer in space.layers
        ),
        limits=np.array(
            [limits[column] - costs.fixed[column] for column in columns], dtype=np.int64
        ),
    )


def _choices(
    space: DecisionSpace,
    layer: LayerSpec,
    losses: Losses,
    costs: Mapping[tuple[int, int], Integers],
    columns: Sequence[int] = (0,),
) -> LayerChoices:
    pairs = space.pairs(layer.name)
    return LayerChoices(
        layer=layer.name,
        steps=space.steps(layer.name),
        pairs=pairs,
        losses=np.array([losses[layer.name][pair] for pair in pairs]),
        costs=np.stack([costs[pair][list(columns)] for pair in pairs]).astype(np.int64),
        is_product=not layer.has_weights,
    )


class CostModel:
    """The choices of one search problem, priced as one method looks at them."""

    def __init__(self, problem: SearchProblem, losses: Losses, kind: CostKind = "budget") -> None:
        """Price every choice.

        Args:
            problem: Layers, table, budget.
            losses: What every choice loses.
            kind: What the method looks at.

        Raises:
            BudgetError: energy is asked for and the layer table has none.
        """
        self._problem = problem
        self._losses = losses
        check_cost(kind, problem.table)
        self._costs = cost_table(problem.space, problem.table)
        self._kind = kind

    def answer(self, solve: Solve, seen: Collection[Allocation] = ()) -> Allocation | None:
        """Return the best allocation inside the budget that was not seen, or None.

        Whole programs take so many times what the table adds up to; latency and energy are scaled
        by what the evaluations so far say. Where with that nothing would fit, the table is
        believed as it is.
        """
        for limit in dict.fromkeys([self._problem.corrected_budget(), self._problem.budget]):
            within = self.within(limit)
            if (picks := self._solve(solve, within, within.known_picks(seen))) is not None:
                return within.allocation(picks)
        return None

    def within(self, budget: Budget) -> ChoiceProblem:
        """Return the choices with the budget's own resources as costs and limits."""
        return choices_within(self._problem.space, self._losses, self._costs, budget)

    def _solve(self, solve: Solve, within: ChoiceProblem, seen: frozenset[Picks]) -> Picks | None:
        limited = [RESOURCES[column] for column in limits_of(self._problem.budget)]
        if self._kind == "budget" or limited == [self._kind]:
            return solve(within, seen)
        proxy = self._proxy()
        low = int(sum(layer.costs.min() for layer in proxy.layers))
        high = limit = int(sum(layer.costs.max() for layer in proxy.layers))
        best: Picks | None = None
        for _ in range(_BISECTIONS):
            picks = solve(proxy.with_limits([limit]), seen)
            if picks is not None and within.inside(picks):
                best, low = picks, limit
            else:
                high = limit
            if high - low <= 1:
                break
            limit = (low + high) // 2
        # A proxy may favour what the budget forbids at every limit: then the budget decides.
        return best if best is not None else solve(within, seen)

    def _proxy(self) -> ChoiceProblem:
        layers = self._problem.layers
        if self._kind in RESOURCES:
            column = RESOURCES.index(self._kind)
            pairs = {layer.name: self._costs.pairs[layer.name] for layer in layers}
        else:
            column = 0
            proxies = proxy_costs(self._kind, self._problem.space, self._costs)
            pairs = {
                name: {pair: np.array([cost]) for pair, cost in row.items()}
                for name, row in proxies.items()
            }
        priced = [
            _choices(self._problem.space, layer, self._losses, pairs[layer.name], [column])
            for layer in layers
        ]
        return ChoiceProblem(layers=tuple(priced), limits=np.zeros(1, dtype=np.int64))
