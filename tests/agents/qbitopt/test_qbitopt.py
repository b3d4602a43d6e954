"""QBitOpt's answers: inside any budget, close to the best there is, and the same after a kill."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.costs.spending import Spending, spending_of
from agents.qbitopt.bit_program import NoiseModel, noise
from agents.qbitopt.config import QBitOptConfig
from agents.qbitopt.qbitopt import search
from agents.qbitopt.training import QBitOptTraining, solve_columns
from agents.search import SearchProblem
from agents.uniform import evaluate_uniform
from env.decisions.budget import Budget
from env.decisions.costs import cost_table
from env.decisions.space import decision_space
from env.errors import TaskError
from env.evaluating.evaluation import Evaluation
from env.testing import formula_table, tied_layers
from quant.allocation import Allocation
from quant.retraining.finetune_config import FinetuneConfig
from tests.agents.instances import allows, random_spending

Problems = Callable[..., SearchProblem]
QUICK = QBitOptConfig(
    rounds=2,
    frozen_rounds=1,
    finetune=FinetuneConfig(steps=2, compensation_images=16, held_back_images=32),
    sensitivity_images=32,
)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["power", "levels"]))
def test_solutions_are_inside_and_nothing_can_be_raised(seed: int, model: NoiseModel) -> None:
    spending, budget, table = random_spending(seed)
    weights = 10.0 ** np.random.default_rng(seed).uniform(-4, 2, len(spending.decisions))
    columns = solve_columns(weights, spending, model)
    assert spending.inside(columns)
    assert allows(budget, spending, table, spending.allocation(columns))
    for decision, column in enumerate(columns):
        for higher in range(column + 1, int(spending.choices[decision])):
            raised = columns.copy()
            raised[decision] = higher
            assert not spending.inside(raised)


@pytest.mark.parametrize("share", [0.1, 0.35, 0.7])
def test_close_to_the_best_of_all_allocations(share: float) -> None:
    """Five layers with tied tensors, 4**8 allocations: within a tenth of the least noise."""
    layers, choices = tied_layers(), (2, 4, 6, 8)
    table, space = formula_table(layers), decision_space(layers, choices)
    fast, slow = (
        Spending(space, cost_table(space, table), Budget())._total(np.full(8, column))[0] / 1e9
        for column in (0, 3)
    )
    budget = Budget(latency_ms=fast + share * (slow - fast))
    spending = Spending(space, cost_table(space, table), budget)
    weights = np.array([3.0, 0.5, 8.0, 1.0, 0.2, 6.0, 2.0, 0.1])
    losses = weights[:, None] * noise(np.array(choices, dtype=np.float64), "levels")
    rows = np.array(list(itertools.product(range(4), repeat=8)))
    totals = losses[np.arange(8), rows].sum(axis=1)
    best = totals[spending.inside(rows)].min()
    found = solve_columns(weights, spending, "levels")
    assert losses[np.arange(8), found].sum() <= 1.1 * best


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_bit(problems: Problems, tmp_path: Path) -> None:
    whole = problems(limit=8)
    answers = search(whole, QUICK, seed=1).candidates
    assert [e.proposer for e in whole.evaluator.evaluations].count("qbitopt") == 3
    killed = problems(limit=8, state_folder=tmp_path)
    evaluate_uniform(killed)
    QBitOptTraining(killed, replace(QUICK, frozen_rounds=0), seed=1).train()  # as far as it got
    past = killed.evaluator.evaluations
    again = problems(limit=8, state_folder=tmp_path, past=past)
    assert QBitOptTraining(again, QUICK, seed=1)._rounds == 2
    again = problems(limit=8, state_folder=tmp_path, past=past)
    assert search(again, QUICK, seed=1).candidates == answers
    third = problems(limit=8, state_folder=tmp_path, past=again.evaluator.evaluations)
    fresh: list[Evaluation] = []
    third.evaluator.on_evaluation.append(fresh.append)
    assert search(third, QUICK, seed=1).candidates == answers
    assert not fresh
    assert third.ledger.training_samples == whole.ledger.training_samples > 0


def test_the_next_best_are_inside_and_of_little_noise(problems: Problems) -> None:
    problem = problems(limit=3, share=0.35)
    training = QBitOptTraining(problem, QUICK, seed=0)
    training.train()
    spending = spending_of(problem)
    best = training.solve(spending)
    seen: dict[Allocation, None] = {}
    for _ in range(20):
        answer = training.next_best(spending, seen)
        assert answer is not None
        assert answer not in seen
        assert spending.inside(spending.columns(answer))
        seen[answer] = None
    assert next(iter(seen)) == spending.allocation(best)


def test_other_seeds_train_in_another_order(problems: Problems) -> None:
    trainings = [QBitOptTraining(problems(limit=3), QUICK, seed=s) for s in (1, 2)]
    for training in trainings:
        training.train()
    first, second = (training._network.state_dict() for training in trainings)
    assert any((first[name] != second[name]).any() for name in first if name.endswith("weight"))


def test_programs_slower_than_the_table_are_answered_with_fewer_bits(problems: Problems) -> None:
    """Mixed layers take more than the table says, which no uniform allocation tells."""
    problem = problems(limit=12, share=0.5)
    optimistic = replace(
        problem.table,
        times_us={
            layer: {pair: us * (1.0 if len({*pair}) == 1 else 0.6) for pair, us in row.items()}
            for layer, row in problem.table.times_us.items()
        },
    )
    answer = search(replace(problem, table=optimistic), QUICK, seed=0).candidates[0]
    own = [e for e in problem.evaluator.evaluations if e.proposer == "qbitopt"]
    limit_ms = problem.budget.latency_ms
    assert limit_ms is not None
    inside = [e.latency_ms is not None and e.latency_ms <= 1.02 * limit_ms for e in own]
    assert not inside[0], "the first answer was outside"
    assert any(inside)
    assert answer in {
        e.allocation
        for e in problem.evaluator.evaluations
        if e.latency_ms is not None and e.latency_ms <= 1.02 * limit_ms
    }


def _slowed(evaluation: Evaluation, factor: float) -> Evaluation:
    measurement = evaluation.measurement
    assert measurement is not None
    values_ms = tuple(factor * value for value in measurement.values_ms)
    return replace(evaluation, measurement=replace(measurement, values_ms=values_ms))


def test_one_slow_moment_does_not_end_the_search(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problems(limit=8, share=0.3)
    evaluator = problem.evaluator
    slow: list[Any] = []
    measured = evaluator.evaluate

    def evaluate(allocations: list[Allocation], **options: Any) -> list[Evaluation]:
        found = measured(allocations, **options)
        if evaluator.proposer != "qbitopt" or slow:
            return found
        slow.extend(found)
        return [_slowed(one, 4.0) for one in found]

    monkeypatch.setattr(evaluator, "evaluate", evaluate)
    assert search(problem, QUICK, seed=0).candidates
    assert slow
    assert evaluator.remaining == 0, "it went on to the limit"


def test_the_widest_bits_where_nothing_is_budgeted(problems: Problems) -> None:
    problem = problems(limit=3, share=None)
    training = QBitOptTraining(problem, QUICK, seed=0)
    training.train()
    assert (training.solve(spending_of(problem)) == 3).all()


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"averaging": 0.0}, {"sensitivity_images": 0}])
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(TaskError, match=f"qbitopt.{next(iter(wrong))}"):
        QBitOptConfig(**wrong)  # type: ignore[arg-type]
