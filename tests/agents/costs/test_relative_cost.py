"""What the methods may pay with: by hand for one layer, and by any of them inside the budget."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from agents.amed.config import AMEDConfig
from agents.costs.cost_kind import CostKind
from agents.costs.relative_cost import RelativeCost, proxy_spending
from agents.costs.spending import spending_of
from agents.nsga2.config import NSGA2Config
from agents.qbitopt.config import QBitOptConfig
from agents.qbitopt.training import solve_columns
from agents.search import SearchProblem
from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.errors import BudgetError
from quant.allocation import Allocation
from quant.retraining.finetune_config import FinetuneConfig
from tests.agents.search_contract import search_by
from tests.agents.test_searches import make_problem

KINDS: tuple[CostKind, ...] = tuple(kind for kind in get_args(CostKind) if kind != "energy")
FEW = FinetuneConfig(steps=2, compensation_images=16, held_back_images=32)


@pytest.mark.parametrize("kind", KINDS)
def test_all_eight_is_one_and_fewer_bits_are_less(kind: CostKind) -> None:
    problem = make_problem(limit=3)
    cost = RelativeCost(problem, kind)
    eight, four = (Allocation.uniform(problem.layers, bits) for bits in (8, 4))
    assert cost.predict(eight) == pytest.approx(1.0)
    assert 0 < cost.predict(four) < 1.0
    assert cost.of_evaluation(problem.evaluator.evaluate([four])[0]) == pytest.approx(
        cost.predict(four)
    ), "the formula takes what its table says"


def test_bit_operations_and_mean_bits_by_hand() -> None:
    problem = make_problem(limit=1)
    four = Allocation.uniform(problem.layers, 4)
    macs = {layer.name: layer.macs for layer in problem.layers}
    stem, rest = macs.pop("stem"), sum(macs.values())  # the stem reads the input's eight bits
    bops = (stem * 4 * 8 + rest * 4 * 4) / (stem + rest) / 64
    assert RelativeCost(problem, "bops").predict(four) == pytest.approx(bops)
    assert RelativeCost(problem, "mean_bits").predict(four) == pytest.approx(0.5)


def test_two_budgets_count_alike() -> None:
    budget = Budget(latency_ms=1.0, model_bytes=10**6)
    problem = make_problem(limit=1, budget=budget)
    four = Allocation.uniform(problem.layers, 4)
    shares = [RelativeCost(problem, kind).predict(four) for kind in ("latency", "model_bytes")]
    assert RelativeCost(problem, "budget").predict(four) == pytest.approx(np.mean(shares))


def test_energy_needs_a_meter() -> None:
    problem = make_problem(limit=1)
    for ask in (RelativeCost, proxy_spending):
        with pytest.raises(BudgetError, match="energies"):
            ask(problem, "energy")


@pytest.mark.parametrize("kind", ["latency", "model_bytes", "bops", "mean_bits"])
def test_a_program_that_pays_with_a_proxy_keeps_the_budget(kind: CostKind) -> None:
    problem = make_problem(limit=1)
    spending, weights = spending_of(problem), np.array([3.0, 0.5, 8.0, 1.0, 0.2, 6.0, 2.0, 0.1])
    found = solve_columns(weights, spending, "levels", proxy_spending(problem, kind))
    assert spending.inside(found)
    for decision in range(len(found)):
        raised = found.copy()
        raised[decision] = min(3, raised[decision] + 1)
        assert not spending.inside(raised) or raised[decision] == found[decision]


@pytest.mark.parametrize("method", ["amed", "nsga2", "qbitopt"])
def test_methods_that_look_at_mean_bits_keep_the_budget(
    problems: Callable[..., SearchProblem], method: str
) -> None:
    configs = {
        "amed": AMEDConfig(samples=3, finetune=FEW, validation_images=64, cost="mean_bits"),
        "nsga2": NSGA2Config(population=4, cost="mean_bits"),
        "qbitopt": QBitOptConfig(
            rounds=2, frozen_rounds=0, finetune=FEW, sensitivity_images=32, cost="mean_bits"
        ),
    }
    problem = problems(limit=6)
    answers = search_by(method, problem, config=configs[method]).candidates
    assert answers
    latencies = {e.allocation: e.latency_ms for e in problem.evaluator.evaluations}
    for answer in answers:
        latency_ms = latencies[answer]
        assert latency_ms is not None
        assert problem.budget.latency_ms is not None
        assert latency_ms <= problem.budget.latency_ms * (1 + MEASURED_TOLERANCE)
