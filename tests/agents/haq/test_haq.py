"""HAQ: lowering, the crediting of executed actions, and a search that can be played again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.costs.spending import spending_of
from agents.haq.config import HAQConfig
from agents.haq.executed_replay import ExecutedReplay
from agents.haq.haq import FadingNoise, search
from agents.haq.lowering import lower
from agents.search import SearchProblem
from env.continuous_actions import ContinuousActions, SettlingEvaluator
from env.errors import TaskError
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from tests.agents.instances import allows, random_spending
from tests.agents.test_searches import make_problem

QUICK = HAQConfig(warm_up_episodes=2, hidden=(16,), batch_size=16)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lowering_ends_inside_and_never_raises_where_it_can_lower(seed: int) -> None:
    spending, budget, table = random_spending(seed)
    rng = np.random.default_rng(seed)
    columns = rng.integers(spending.choices)
    found = lower(columns, spending)
    assert spending.inside(found)
    assert allows(budget, spending, table, spending.allocation(found))
    if spending.inside(columns):
        assert (found == columns).all()
    if spending.inside(np.zeros_like(columns)):
        assert (found <= columns).all()


def test_lowering_begins_at_the_last_layer_with_its_activations() -> None:
    problem = make_problem(limit=3)
    spending = spending_of(problem)
    widest = np.full(len(spending.decisions), 3, dtype=np.int64)
    steps = widest - lower(widest, spending)
    assert steps.max() - steps.min() <= 1
    assert (np.diff(steps) >= 0).all(), "a sweep that is cut short has reached the last ones"


def view_of(problem: SearchProblem, settle: Callable[[Any], Any]) -> ContinuousActions:
    env = problem.make_env()
    env.evaluator = SettlingEvaluator(problem.evaluator, settle)
    return ContinuousActions(env, problem.make_env())


def play(view: ContinuousActions, share: float) -> tuple[dict[str, Any], float, list[Any]]:
    observation, _ = view.reset()
    observations, ended, reward = [observation], False, 0.0
    info: dict[str, Any] = {}
    while not ended:
        observation, reward, ended, _, info = view.step(np.array([share], dtype=np.float32))
        observations.append(observation)
    return info, float(reward), observations


def test_what_was_executed_is_what_is_learnt_from() -> None:
    """Everything is asked for at 8 bits and executed at 4: the episode is that of 4 bits."""
    problem = make_problem(limit=9)
    four = Allocation.uniform(problem.layers, 4)
    info, reward, asked = play(view_of(problem, lambda allocation: four), 0.99)
    executed = info["executed"]
    assert info["evaluation"].allocation == four
    assert executed.actions.ravel() == pytest.approx(1.5 / 4), "the middle of the second of four"
    _, _, own = play(view_of(problem, lambda allocation: allocation), 0.3)
    assert (executed.observations[:-1] == np.stack(own[:-1])).all()
    assert not (executed.observations[:-1] == np.stack(asked[:-1])).all()
    steps, features = len(executed.actions), executed.observations.shape[1]
    buffer = ExecutedReplay(
        3 * steps,
        spaces.Box(-1.0, 1.0, (features,), np.float32),
        spaces.Box(0.0, 1.0, (1,), np.float32),
        "cpu",
        reward_scale=0.1,
        baseline=0.5,
    )
    ignored = np.zeros((1, features), dtype=np.float32)
    for step in range(steps):
        last = step == steps - 1
        buffer.add(
            ignored,
            ignored,
            np.ones((1, 1)),
            np.array([reward if last else 0.0]),
            np.array([last]),
            [{"executed": executed if last else None}],
        )
    assert buffer.pos == steps
    assert (buffer.observations[:steps, 0] == executed.observations[:-1]).all()
    assert buffer.actions[:steps, 0] == pytest.approx(2 * 1.5 / 4 - 1)
    assert buffer.rewards[:steps, 0] == pytest.approx(0.1 * reward)
    assert buffer.dones[:steps, 0].tolist() == [0.0] * (steps - 1) + [1.0]
    assert buffer.sample(8).rewards.numpy() == pytest.approx(0.0, abs=1e-6), "all equal the mean"


def test_an_own_action_is_kept_where_it_was_executed() -> None:
    problem = make_problem(limit=9)
    info, _, observations = play(view_of(problem, lambda allocation: allocation), 0.3)
    assert info["executed"].actions.ravel() == pytest.approx(0.3)
    assert (info["executed"].observations[:-1] == np.stack(observations[:-1])).all()


def test_resumed_on_digits(problems: Callable[..., SearchProblem], tmp_path: Path) -> None:
    whole = problems(limit=8, log_folder=tmp_path)
    search(whole, QUICK, seed=0)
    done = whole.evaluator.evaluations
    again = problems(limit=9, log_folder=tmp_path, past=done)
    fresh: list[Evaluation] = []
    again.evaluator.on_evaluation.append(fresh.append)
    search(again, QUICK, seed=0)
    assert len(fresh) == 1
    assert again.evaluator.evaluations[: len(done)] == done
    assert len(list(tmp_path.glob("haq_*"))) == 1, "its curves are logged once"


def test_more_evaluations_than_at_first_pay_for_nothing_twice() -> None:
    """The noise of a longer search differs, so that its episodes are others than were played."""
    first = make_problem(limit=8)
    search(first, QUICK, seed=0)
    done = first.evaluator.evaluations
    longer = make_problem(limit=12)
    longer.evaluator.evaluations[:] = done  # as adopted
    search(longer, QUICK, seed=1)
    allocations = [e.allocation for e in longer.evaluator.evaluations]
    assert len(allocations) == len(set(allocations)) == 12


def test_noise_falls_with_the_evaluations_and_widens_with_repeats() -> None:
    problem = make_problem(limit=11)
    evaluator = problem.evaluator
    settling = SettlingEvaluator(evaluator, lambda allocation: allocation)
    noise = FadingNoise(QUICK, evaluator, settling, np.random.default_rng(0))
    noise.reset()
    assert noise.spread == pytest.approx(QUICK.noise)
    evaluator.evaluate([Allocation.uniform(problem.layers, 2)] * 5)
    noise.reset()
    assert noise.spread == pytest.approx((QUICK.noise * QUICK.noise_end) ** 0.5), "half is spent"
    settling.repeats = 3
    noise.reset()
    assert noise.spread == pytest.approx(1.1**3 * (QUICK.noise * QUICK.noise_end) ** 0.5)
    evaluator.evaluate([Allocation.uniform(problem.layers, 2)] * 5)
    settling.repeats = 0
    noise.reset()
    assert noise.spread == pytest.approx(QUICK.noise_end)


def test_no_evaluation_is_left_over() -> None:
    problem = make_problem(limit=22)
    search(problem, QUICK, seed=0)
    assert problem.evaluator.remaining == 0


@pytest.mark.parametrize("wrong", [{"updates": 0}, {"noise": 0.0}, {"tau": 2.0}])
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(TaskError, match=f"haq.{next(iter(wrong))}"):
        HAQConfig(**wrong)  # type: ignore[arg-type]
