"""Every search: uniform first, never beyond the limit, inside the budget, seeded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from agents.search import SearchProblem
from agents.uniform import uniform_inside
from env.decisions.budget import Budget
from env.errors import TaskError
from env.testing import (
    FormulaEvaluator,
    formula_table,
)
from quant.allocation import Allocation
from tests.agents.formula_problem import LAYERS, SENSITIVITIES, formula_problem

TABLE = formula_table(LAYERS)
WITHOUT_A_NETWORK = [name for name in METHODS if name not in ("amed", "qbitopt")]
"""Methods that a formula can answer; the others train, and are tested on digits."""
QUICK = PPOConfig(
    warm_up_episodes=64, practice_episodes=8, final_evaluations=2, rollout_episodes=16
)

MakeProblem = Callable[..., SearchProblem]


def middle() -> Budget:
    slow, fast = (TABLE.predict_ms(Allocation.uniform(LAYERS, bits)) for bits in (8, 2))
    return Budget(latency_ms=fast + (slow - fast) / 3)


def make_problem(
    *,
    limit: int,
    budget: Budget | None = None,
    slowdown: float = 1.0,
    ppo: PPOConfig = QUICK,
    log_folder: Path | None = None,
) -> SearchProblem:
    """A formula in place of network and device; `slowdown` is what the table does not know."""
    truth = TABLE.scaled(slowdown)
    evaluator = FormulaEvaluator(
        LAYERS, truth, SENSITIVITIES, scale=0.02, practice=False, limit=limit
    )
    evaluator.proposer = "reference"
    reference = evaluator.evaluate([Allocation.uniform(LAYERS, 8)])[0]
    return formula_problem(TABLE, evaluator, reference, budget or middle(), ppo, log_folder)


@pytest.mark.parametrize("method", WITHOUT_A_NETWORK)
def test_search_keeps_its_promises(method: str) -> None:
    problem = make_problem(limit=12)
    result = METHODS[method](problem, seed=0)
    evaluations = problem.evaluator.evaluations
    inside = uniform_inside(problem)
    assert inside == [Allocation.uniform(LAYERS, bits) for bits in (4, 2)]
    assert [e.allocation for e in evaluations[1:3]] == inside
    assert [e.proposer for e in evaluations] == ["reference", "uniform", "uniform"] + [method] * (
        0 if method == "uniform" else 9
    )
    assert len({e.allocation for e in evaluations}) == len(evaluations)
    by_allocation = {e.allocation: e for e in evaluations}
    accuracies = []
    for candidate in result.candidates:
        evaluation = by_allocation[candidate]
        assert evaluation.latency_ms is not None
        assert problem.budget.latency_ms is not None
        assert evaluation.latency_ms <= problem.budget.latency_ms * 1.02
        accuracies.append(evaluation.accuracy)
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] >= max(by_allocation[a].accuracy for a in inside)


@pytest.mark.parametrize("method", ["ppo", "random"])
def test_same_seed_same_search(method: str) -> None:
    runs = []
    for seed in (3, 3, 4):
        problem = make_problem(limit=8)
        METHODS[method](problem, seed=seed)
        runs.append([e.allocation for e in problem.evaluator.evaluations])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_practice_makes_few_evaluations_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """A budget that the best uniform allocation just misses, and thirteen evaluations inside."""
    uniform_ms = TABLE.predict_ms(Allocation.uniform(LAYERS, 4))
    ppo = PPOConfig(warm_up_episodes=320, practice_episodes=16, rollout_episodes=32)
    best: dict[str, list[float]] = {"ppo": [], "random": []}
    for method in best:
        for seed in range(2):
            problem = make_problem(limit=15, budget=Budget(latency_ms=0.95 * uniform_ms), ppo=ppo)
            winner = METHODS[method](problem, seed=seed).candidates[0]
            evaluations = {e.allocation: e for e in problem.evaluator.evaluations}
            best[method].append(evaluations[winner].accuracy)
    with capsys.disabled():
        print(f"\nbest accuracy of 13 evaluations, 2 seeds: {best}")
    assert min(best["ppo"]) > max(best["random"])


@pytest.mark.parametrize("method", WITHOUT_A_NETWORK)
def test_limit_smaller_than_the_uniform_ones(method: str) -> None:
    problem = make_problem(limit=2)
    assert METHODS[method](problem, seed=0).candidates == (Allocation.uniform(LAYERS, 4),)
    assert problem.evaluator.remaining == 0


@pytest.mark.parametrize("method", ["ppo", "random"])
def test_programs_slower_than_the_table_stay_inside(method: str) -> None:
    """Whole programs take a tenth more than their parts: the masks learn it from measurements."""
    problem = make_problem(limit=10, slowdown=1.1)
    METHODS[method](problem, seed=1)
    proposed = [e for e in problem.evaluator.evaluations if e.proposer == method]
    assert proposed
    assert problem.budget.latency_ms is not None
    for evaluation in proposed:
        assert evaluation.latency_ms is not None
        assert evaluation.latency_ms <= problem.budget.latency_ms * (1 + 1e-9)


def test_free_budget_does_not_evaluate_the_reference_twice() -> None:
    problem = make_problem(limit=6, budget=Budget(latency_ms=1e6))
    METHODS["uniform"](problem, seed=0)
    bits = [e.allocation["stem"].weight_bits for e in problem.evaluator.evaluations]
    assert bits == [8, 6, 4, 2]


def test_events_tell_real_from_practice(tmp_path: Path) -> None:
    problem = make_problem(limit=8, log_folder=tmp_path)
    METHODS["ppo"](problem, seed=0)
    (folder,) = {path.parent for path in tmp_path.rglob("events.out*")}
    events = EventAccumulator(str(folder)).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"rollout/ep_rew_mean", "train/entropy_loss", "train/approx_kl", "time/fps"} <= tags
    for kind in ("real", "practice"):
        assert {f"{kind}/accuracy", f"{kind}/latency_ms", f"{kind}/reward_accuracy"} <= tags
        assert f"{kind}/mean_weight_bits" in tags
    for tag in tags:
        assert all(np.isfinite(event.value) for event in events.Scalars(tag)), tag
    by_ppo = [e for e in problem.evaluator.evaluations if e.proposer == "ppo"]
    assert events.Scalars("real/episodes")[-1].value == len(by_ppo) - QUICK.final_evaluations


@pytest.mark.parametrize(
    "wrong", [{"environments": 0}, {"learning_rate": 0.0}, {"final_evaluations": 0}]
)
def test_wrong_ppo_values_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match=f"ppo.{next(iter(wrong))}"):
        PPOConfig(**wrong)
