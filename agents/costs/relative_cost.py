"""RelativeCost: what a method that weighs costs looks at, as a share of all-8's."""

from collections.abc import Callable

import numpy as np

from agents.costs.cost_kind import RESOURCES, CostKind, check_cost
from agents.costs.proxies import proxy_costs
from agents.costs.spending import Spending
from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.decisions.costs import CostTable, cost_table, limits_of
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.layers import INPUT_BITS

_MEASURED: dict[CostKind, str] = {"latency": "latency_ms", "energy": "energy_mj"}
"""What of an evaluation is measured, by its name there; anything else is known exactly."""
_FREE_MS = 1e9
"""A limit that no allocation comes near, in the unit that stands for a proxy's."""


class RelativeCost:
    """The cost of one allocation over all-8's: 1 is all-8."""

    def __init__(self, problem: SearchProblem, kind: CostKind) -> None:
        """Price all-8.

        Args:
            problem: Layers, table, budget, reference.
            kind: What is looked at; `budget` is the mean of what is budgeted, latency where
                nothing is.

        Raises:
            BudgetError: energy is asked for and the layer table has none.
        """
        check_cost(kind, problem.table)
        self._problem = problem
        budgeted = tuple(RESOURCES[column] for column in sorted(limits_of(problem.budget)))
        self._kinds = (budgeted or ("latency",)) if kind == "budget" else (kind,)
        costs = cost_table(problem.space, problem.table)
        self._proxies = {
            kind: proxy_costs(kind, problem.space, costs)
            for kind in self._kinds
            if kind not in RESOURCES
        }
        self._all8 = Allocation.uniform(problem.layers, INPUT_BITS)

    def predict(self, allocation: Allocation) -> float:
        """Return the cost by the layer table, or exactly where it needs no measurement."""
        return float(
            np.mean(
                [self._of(kind, allocation) / self._of(kind, self._all8) for kind in self._kinds]
            )
        )

    def of_evaluation(self, evaluation: Evaluation) -> float:
        """Return the cost with what was measured in place of the table's."""
        shares = []
        for kind in self._kinds:
            if kind in _MEASURED:
                each = (evaluation, self._problem.reference)
                found, of = (getattr(one, _MEASURED[kind]) for one in each)
            else:
                each_bits = (evaluation.allocation, self._all8)
                found, of = (self._of(kind, allocation) for allocation in each_bits)
            shares.append(found / of)
        return float(np.mean(shares))

    def _of(self, kind: CostKind, allocation: Allocation) -> float:
        problem = self._problem
        predict: dict[str, Callable[[Allocation], float | None]] = {
            "latency": problem.table.predict_ms,
            "energy": problem.table.predict_mj,
            "model_bytes": problem.bytes_of,
        }
        if kind in predict:
            return predict[kind](allocation) or 0.0
        pairs = self._proxies[kind]
        return float(
            sum(
                pairs[name][bits.weight_bits, bits.activation_bits]
                for name, bits in allocation.items
            )
        )


def proxy_spending(problem: SearchProblem, kind: CostKind) -> Spending:
    """Return a spending that counts nothing but one quantity, and limits it nowhere.

    Raises:
        BudgetError: energy is asked for and the layer table has none.
    """
    check_cost(kind, problem.table)
    costs = cost_table(problem.space, problem.table)
    proxies = None if kind in RESOURCES else proxy_costs(kind, problem.space, costs)
    column = RESOURCES.index(kind) if kind in RESOURCES else 0

    def price_of(layer: str, pair: tuple[int, int]) -> int:
        return int(costs.pairs[layer][pair][column]) if proxies is None else proxies[layer][pair]

    pairs = {
        layer: {pair: np.array([price_of(layer, pair), 0, 0], dtype=np.int64) for pair in row}
        for layer, row in costs.pairs.items()
    }
    table = CostTable(pairs=pairs, fixed=np.zeros(3, dtype=np.int64))
    return Spending(problem.space, table, Budget(latency_ms=_FREE_MS))
