"""RelativeCost: what a method that weighs costs looks at, as a share of all-8's."""

from collections.abc import Callable

import numpy as np

from agents.costs.cost_kind import CostKind
from agents.costs.proxies import proxy_costs
from agents.costs.spending import Spending
from agents.search import SearchProblem
from env.decisions.budget import Budget
from env.decisions.costs import CostTable, cost_table
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.layers import INPUT_BITS

__all__ = ["RelativeCost", "proxy_spending"]

_RESOURCES = ("latency", "model_bytes", "energy")
"""In the order of a CostTable's columns."""
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
        _check(problem, kind)
        self._problem = problem
        self._kinds = _budgeted(problem.budget) if kind == "budget" else (kind,)
        self._proxies = {
            kind: _proxy_pairs(problem, kind) for kind in self._kinds if kind not in _RESOURCES
        }
        self._all8 = Allocation.uniform(problem.layers, INPUT_BITS)

    def predicted(self, allocation: Allocation) -> float:
        """Return the cost by the layer table, or exactly where it needs no measurement."""
        return float(
            np.mean(
                [self._of(kind, allocation) / self._of(kind, self._all8) for kind in self._kinds]
            )
        )

    def measured(self, evaluation: Evaluation) -> float:
        """Return the cost with what was measured in place of the table's."""
        reference = self._problem.reference
        shares = []
        for kind in self._kinds:
            found, of = (
                (evaluation.latency_ms, reference.latency_ms)
                if kind == "latency"
                else (evaluation.energy_mj, reference.energy_mj)
                if kind == "energy"
                else (self._of(kind, evaluation.allocation), self._of(kind, self._all8))
            )
            assert found is not None
            assert of is not None
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
    _check(problem, kind)
    costs = cost_table(problem.layers, problem.table, problem.bit_choices)
    proxies = None if kind in _RESOURCES else _proxy_pairs(problem, kind)
    column = _RESOURCES.index(kind) if kind in _RESOURCES else 0

    def priced(layer: str, pair: tuple[int, int]) -> int:
        return int(costs.pairs[layer][pair][column]) if proxies is None else proxies[layer][pair]

    pairs = {
        layer: {pair: np.array([priced(layer, pair), 0, 0], dtype=np.int64) for pair in row}
        for layer, row in costs.pairs.items()
    }
    table = CostTable(pairs=pairs, fixed=np.zeros(3, dtype=np.int64))
    return Spending(problem.layers, table, problem.bit_choices, Budget(latency_ms=_FREE_MS))


def _proxy_pairs(problem: SearchProblem, kind: CostKind) -> dict[str, dict[tuple[int, int], int]]:
    return proxy_costs(kind, problem.layers, sorted({*problem.bit_choices, INPUT_BITS}))


def _budgeted(budget: Budget) -> tuple[CostKind, ...]:
    kinds: list[CostKind] = []
    if budget.latency_ms is not None:
        kinds.append("latency")
    if budget.model_bytes is not None:
        kinds.append("model_bytes")
    if budget.energy_mj is not None:
        kinds.append("energy")
    return tuple(kinds) or ("latency",)


def _check(problem: SearchProblem, kind: CostKind) -> None:
    if kind == "energy" and not problem.table.has_energies:
        raise BudgetError(
            "expected energies in the layer table for the cost energy, found none",
            "use a machine with an energy meter, or another cost",
        )
