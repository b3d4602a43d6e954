"""Every search: uniform first, never beyond the limit, inside the budget, seeded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from agents.ppo.token_weights import IN_RUN
from agents.search import SearchProblem
from agents.uniform import uniform_inside
from env.decisions.budget import Budget
from env.errors import TaskError
from env.testing import (
    FormulaEvaluator,
    formula_table,
)
from quant.allocation import Allocation
from tests.agents.formula_problem import LAYERS, SENSITIVITIES, SPACE, formula_problem
from tests.agents.search_contract import MakeProblem, SearchContract, proposed_by, search_by

TABLE = formula_table(LAYERS)
WITHOUT_A_NETWORK = [name for name in METHODS if name not in ("amed", "clado", "qbitopt")]
"""Methods that a formula can answer; the others train, and are tested on digits."""
QUICK = PPOConfig(
    policy=IN_RUN,
    posterior=False,
    race=0,
    warm_up_episodes=64,
    practice_episodes=8,
    final_evaluations=2,
    rollout_episodes=16,
)


def middle() -> Budget:
    slow, fast = (TABLE.predict_ms(Allocation.uniform(LAYERS, bits)) for bits in (8, 2))
    return Budget(latency_ms=fast + (slow - fast) / 3)


def make_problem(
    *,
    limit: int,
    budget: Budget | None = None,
    slowdown: float = 1.0,
    log_folder: Path | None = None,
) -> SearchProblem:
    """A formula in place of network and device; `slowdown` is what the table does not know."""
    truth = TABLE.scale_times(slowdown)
    evaluator = FormulaEvaluator(
        SPACE, truth, SENSITIVITIES, scale=0.02, practice=False, limit=limit
    )
    evaluator.proposer = "reference"
    reference = evaluator.evaluate([Allocation.uniform(LAYERS, 8)])[0]
    return formula_problem(TABLE, evaluator, reference, budget or middle(), log_folder)


class TestOnAFormula(SearchContract):
    @pytest.fixture(params=WITHOUT_A_NETWORK)
    def method(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def make(self) -> MakeProblem:
        return make_problem

    @pytest.fixture
    def budget(self) -> dict[str, float]:
        return {}

    def test_it_goes_on_to_the_limit(self, method: str) -> None:
        problem = make_problem(limit=12)
        search_by(method, problem)
        uniform = uniform_inside(problem)
        assert {Allocation.uniform(LAYERS, bits) for bits in (4, 2)} < set(uniform)
        assert [e.allocation for e in problem.evaluator.evaluations[1:]][: len(uniform)] == uniform
        own = len(uniform) if method == "uniform" else 11 - len(uniform)
        assert len(proposed_by(method, problem)) == own

    def test_a_limit_smaller_than_the_uniform_ones(self, method: str) -> None:
        problem = make_problem(limit=2)
        assert search_by(method, problem).candidates == tuple(uniform_inside(problem)[:1])
        assert problem.evaluator.remaining == 0


@pytest.mark.parametrize("method", ["evolution", "gp", "haq", "nsga2", "ppo", "random"])
def test_same_seed_same_search(method: str) -> None:
    runs = []
    for seed in (2, 2, 3):
        problem = make_problem(limit=12)
        search_by(method, problem, seed=seed)
        runs.append([e.allocation for e in problem.evaluator.evaluations])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_practice_makes_few_evaluations_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """A budget that the best uniform allocation just misses, and thirteen evaluations inside."""
    uniform_ms = TABLE.predict_ms(Allocation.uniform(LAYERS, 4))
    ppo = PPOConfig(policy=IN_RUN, warm_up_episodes=320, practice_episodes=16, rollout_episodes=32)
    best: dict[str, list[float]] = {"ppo": [], "random": []}
    for method in best:
        for seed in range(2):
            problem = make_problem(limit=15, budget=Budget(latency_ms=0.95 * uniform_ms))
            config = ppo if method == "ppo" else None
            winner = search_by(method, problem, seed=seed, config=config).candidates[0]
            evaluations = {e.allocation: e for e in problem.evaluator.evaluations}
            best[method].append(evaluations[winner].score)
    with capsys.disabled():
        print(f"\nbest accuracy of 13 evaluations, 2 seeds: {best}")
    assert min(best["ppo"]) > max(best["random"])


@pytest.mark.parametrize("method", ["ppo", "random"])
def test_programs_slower_than_the_table_stay_inside(method: str) -> None:
    """Whole programs take a tenth more than their parts: the masks learn it from measurements."""
    problem = make_problem(limit=10, slowdown=1.1)
    search_by(method, problem, seed=1)
    proposed = proposed_by(method, problem)
    assert proposed
    assert problem.budget.latency_ms is not None
    for evaluation in proposed:
        assert evaluation.latency_ms is not None
        assert evaluation.latency_ms <= problem.budget.latency_ms * (1 + 1e-9)


def test_free_budget_does_not_evaluate_the_reference_twice() -> None:
    problem = make_problem(limit=6, budget=Budget(latency_ms=1e6))
    search_by("uniform", problem)
    bits = [e.allocation["stem"].weight_bits for e in problem.evaluator.evaluations]
    assert bits == [8, 6, 4, 2]


def test_events_tell_real_from_practice(tmp_path: Path) -> None:
    problem = make_problem(limit=8, log_folder=tmp_path)
    search_by("ppo", problem, config=QUICK)
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
