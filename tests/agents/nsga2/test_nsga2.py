"""NSGA-II: its budget is a constraint that costs nothing to break and is never broken for real."""

import sys

import pytest

from agents.errors import MissingExtraError
from agents.nsga2.config import NSGA2Config
from agents.nsga2.nsga2 import search
from env.decisions.budget import Budget
from env.errors import TaskError
from quant.allocation import Allocation
from tests.agents.test_searches import TABLE, make_problem

QUICK = NSGA2Config(population=6)


def tight() -> Budget:
    """Nearly all random allocations miss it."""
    layers = make_problem(limit=1).layers
    slow, fast = (TABLE.predict_ms(Allocation.uniform(layers, bits)) for bits in (8, 2))
    return Budget(latency_ms=fast + (slow - fast) * 0.08)


def test_only_children_inside_a_tight_budget_are_evaluated() -> None:
    problem = make_problem(limit=16, budget=tight())
    answers = search(problem, QUICK, seed=0).candidates
    proposed = [e for e in problem.evaluator.evaluations if e.proposer == "nsga2"]
    assert len(proposed) == 14
    for evaluation in proposed:
        assert problem.budget.allows(
            latency_ms=evaluation.latency_ms, model_bytes=evaluation.model_bytes, tolerance=1e-9
        )
    best = {e.allocation: e.score for e in problem.evaluator.evaluations}
    uniform = Allocation.uniform(problem.layers, 2)
    assert best[answers[0]] > best[uniform], "it learns something"


def test_a_space_that_is_used_up_ends_the_search() -> None:
    """At the very smallest budget there is one allocation."""
    layers = make_problem(limit=1).layers
    smallest = TABLE.predict_ms(Allocation.uniform(layers, 2))
    problem = make_problem(limit=9, budget=Budget(latency_ms=smallest * (1 + 1e-9)))
    assert search(problem, QUICK, seed=0).candidates == (Allocation.uniform(layers, 2),)
    assert problem.evaluator.remaining == 7


def test_without_optuna_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match="optuna") as caught:
        search(make_problem(limit=4), QUICK, seed=0)
    assert "bitalloc[nsga2]" in caught.value.hint


@pytest.mark.parametrize("wrong", [{"population": 1}, {"crossover": 1.5}])
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(TaskError, match=f"nsga2.{next(iter(wrong))}"):
        NSGA2Config(**wrong)  # type: ignore[arg-type]
