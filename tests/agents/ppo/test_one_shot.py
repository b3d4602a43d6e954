"""A training with shared weights before the first evaluation, by a real network's real training."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.judging.knowledge import Knowledge
from agents.methods import METHODS
from agents.ppo.config import PPOConfig
from agents.search import SearchProblem
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.errors import TrainingError

STEPS = 24
QUICK = replace(PPOConfig(), one_shot=replace(PPOConfig().one_shot, steps=STEPS, batch_size=16))
Problems = Callable[..., SearchProblem]


def search(problem: SearchProblem, config: PPOConfig = QUICK) -> list[Allocation]:
    METHODS["ppo"].search(problem, config, seed=1)
    return [evaluation.allocation for evaluation in problem.evaluator.evaluations]


def test_batches_teach_before_the_first_evaluation(problems: Problems) -> None:
    problem = problems(limit=6)
    limit_ms = problem.corrected_budget().latency_ms
    evaluated = search(problem)
    assert len(evaluated) == 6
    assert len(problem.batch_looks) == STEPS
    widths = {problem.space.bits_of(look.allocation) for look in problem.batch_looks}
    assert len(widths) > 4, "the policy draws, and is not asked for one allocation alone"
    narrowest = tuple(decision.menu[0] for decision in problem.space.decisions)
    drawn = [
        look.allocation
        for look in problem.batch_looks
        if problem.space.bits_of(look.allocation) != narrowest
    ]
    assert limit_ms is not None
    assert all(problem.table.predict_ms(one) <= limit_ms * (1 + 1e-6) for one in drawn)
    known = Knowledge(problem, seed=1).posterior()
    assert known.looks is not None
    assert len(known.looks) == STEPS


def test_its_images_count(problems: Problems) -> None:
    found = []
    for config in (QUICK, PPOConfig()):
        problem = problems(limit=3)
        search(problem, config)
        found.append(problem.ledger.training_samples)
    assert found[0] - found[1] >= 2 * 16 * STEPS


def test_a_search_that_is_killed_trains_once(problems: Problems, tmp_path: Path) -> None:
    whole = search(problems(limit=6))
    killed = problems(limit=6, state_folder=tmp_path)

    def die(evaluation: Evaluation) -> None:
        if evaluation.index == 2:
            raise KeyboardInterrupt

    killed.evaluator.on_evaluation.append(die)
    with pytest.raises(KeyboardInterrupt):
        search(killed)
    again = problems(limit=6, state_folder=tmp_path, past=killed.evaluator.evaluations)
    object.__setattr__(again, "prepare", lambda: pytest.fail("trained again"))
    assert search(again) == whole
    assert again.batch_looks == killed.batch_looks


def test_a_training_that_ends_early_leaves_what_it_saw(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*parts: Any, seed: int) -> None:
        *_, asked, seen = parts
        seen(asked(), 0.25, 16)
        seen(asked(), math.nan, 16)
        raise TrainingError("the training loss became nan")

    monkeypatch.setattr("agents.ppo.one_shot.train_shared", ends)
    problem, said = problems(limit=6), list[str]()
    object.__setattr__(problem, "say", said.append)
    assert len(search(problem)) == 6
    assert [look.rise for look in problem.batch_looks] == [0.25]
    assert any("shared weights ended early" in sentence for sentence in said)


def test_a_policy_of_the_runs_own_says_that_it_has_none(problems: Problems) -> None:
    problem, said = problems(limit=2), list[str]()
    object.__setattr__(problem, "say", said.append)
    search(problem, replace(QUICK, policy="run", warm_up_episodes=2, practice_episodes=1))
    assert any("shared weights" in sentence for sentence in said)
    assert not problem.batch_looks
