from collections.abc import Sequence

import pytest

from env.decisions.budget import Budget
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from env.evaluating.ranking import rank
from env.evaluating.reward import RewardConfig
from experiments.stages.selection import Beside, Choice, choose, reconsider
from quant.allocation import Allocation
from tests.experiments.evaluations import allocation, evaluation, measurement

REFERENCE = evaluation(0, allocation(8), score=0.95, latency_ms=1.0)


class Clock:
    """Times allocations by a table and remembers which it was asked for."""

    def __init__(self, latency_ms: dict[Allocation, float], limit_ms: float = 0.5) -> None:
        self.latency_ms = latency_ms
        self.limit_ms = limit_ms
        self.asked: list[Allocation] = []

    def __call__(self, bits: Allocation) -> Beside:
        self.asked.append(bits)
        return Beside(
            measurement=measurement(self.latency_ms[bits]), budget=Budget(latency_ms=self.limit_ms)
        )


def test_more_accurate_first_then_faster_and_failures_never() -> None:
    evaluations = [
        evaluation(1, allocation(2), score=0.90, latency_ms=0.3),
        evaluation(2, allocation(4), score=0.94, latency_ms=0.6),
        evaluation(3, allocation(5), score=0.94, latency_ms=0.5),
        evaluation(4, allocation(6), score=0.99, latency_ms=None),
        evaluation(-1, allocation(7), score=0.99, latency_ms=0.1, practice=True),
    ]
    order = [item.index for item in rank(evaluations, REFERENCE, RewardConfig())]
    assert order == [3, 2, 1]


def test_the_latest_evaluation_of_an_allocation_counts() -> None:
    twice = [
        evaluation(1, allocation(4), score=0.99, latency_ms=0.5),
        evaluation(2, allocation(4), score=0.91, latency_ms=0.5),
        evaluation(3, allocation(3), score=0.92, latency_ms=0.5),
    ]
    assert [item.index for item in rank(twice, REFERENCE, RewardConfig())] == [3, 2]


def test_a_weight_on_latency_ranks_by_the_reward() -> None:
    evaluations = [
        evaluation(1, allocation(6), score=0.95, latency_ms=1.0),
        evaluation(2, allocation(4), score=0.94, latency_ms=0.5),
    ]
    by_reward = rank(evaluations, REFERENCE, RewardConfig(latency_weight=2.0))
    assert [item.index for item in by_reward] == [2, 1]


def test_the_next_candidate_is_taken_when_the_measured_time_misses_the_budget() -> None:
    first = evaluation(1, allocation(6), score=0.96, latency_ms=0.50)
    second = evaluation(2, allocation(4), score=0.95, latency_ms=0.45)
    clock = Clock({first.allocation: 0.52, second.allocation: 0.45})
    choice = choose([first, second], Budget(latency_ms=0.50), clock)
    assert choice.evaluation is second
    assert choice.measurement.median_ms == pytest.approx(0.45)
    assert [item.latency_ms for item in choice.missed] == [pytest.approx(0.52)]


def test_two_percent_over_the_budget_is_inside() -> None:
    only = evaluation(1, allocation(6), score=0.96, latency_ms=0.50)
    clock = Clock({only.allocation: 0.5095})
    assert choose([only], Budget(latency_ms=0.50), clock).evaluation is only


def test_what_is_far_outside_or_too_large_is_not_measured_again() -> None:
    slow = evaluation(1, allocation(8), score=0.97, latency_ms=0.90)
    large = evaluation(2, allocation(7), score=0.96, latency_ms=0.40, model_bytes=2000)
    good = evaluation(3, allocation(4), score=0.95, latency_ms=0.45)
    clock = Clock({good.allocation: 0.45})
    budget = Budget(latency_ms=0.50, model_bytes=1500)
    assert choose([slow, large, good], budget, clock).evaluation is good
    assert clock.asked == [good.allocation]


def test_nothing_inside_names_the_closest() -> None:
    only = evaluation(1, allocation(6), score=0.96, latency_ms=0.52)
    with pytest.raises(BudgetError, match=r"the closest took 0\.53 ms"):
        choose([only], Budget(latency_ms=0.50), Clock({only.allocation: 0.53}))
    with pytest.raises(BudgetError, match="nothing was evaluated"):
        choose([], Budget(latency_ms=0.50), Clock({}))


def test_a_machine_that_is_slower_now_is_slower_for_the_budget_too() -> None:
    only = evaluation(1, allocation(6), score=0.96, latency_ms=0.49)
    slower = Clock({only.allocation: 0.70}, limit_ms=0.71)
    choice = choose([only], Budget(latency_ms=0.50), slower)
    assert choice.budget == Budget(latency_ms=0.71)


def test_what_a_slow_minute_found_outside_is_timed_again_before_anybody_is_refused() -> None:
    slow_minute = evaluation(1, allocation(6), score=0.96, latency_ms=0.70)
    hopeless = evaluation(2, allocation(8), score=0.97, latency_ms=1.20)
    near = evaluation(3, allocation(4), score=0.95, latency_ms=0.51)
    clock = Clock({slow_minute.allocation: 0.48, near.allocation: 0.53})
    choice = choose([hopeless, slow_minute, near], Budget(latency_ms=0.50), clock)
    assert choice.evaluation is slow_minute
    assert clock.asked == [near.allocation, slow_minute.allocation]
    with pytest.raises(BudgetError, match=r"the closest took 1\.2 ms"):
        choose([hopeless], Budget(latency_ms=0.50), clock)


def by_accuracy(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    return rank(evaluations, REFERENCE, RewardConfig())


def test_a_uniform_row_inside_never_outranks_the_best() -> None:
    uniform = evaluation(1, allocation(4), score=0.97, latency_ms=0.9)
    found = evaluation(2, allocation(5), score=0.96, latency_ms=0.4)
    choice = Choice(evaluation=found, measurement=measurement(0.4), budget=Budget(latency_ms=0.5))
    both = [uniform, found]
    inside = {uniform.allocation: measurement(0.45), found.allocation: measurement(0.4)}
    assert reconsider(choice, both, inside, by_accuracy).evaluation is uniform
    outside = {**inside, uniform.allocation: measurement(0.52)}
    assert reconsider(choice, both, outside, by_accuracy).evaluation is found


def test_equal_accuracies_are_told_apart_by_the_times_that_are_shown() -> None:
    slow = evaluation(1, allocation(6), score=0.96, latency_ms=0.40)
    fast = evaluation(2, allocation(4), score=0.96, latency_ms=0.42)
    choice = Choice(evaluation=slow, measurement=measurement(0.43), budget=Budget(latency_ms=0.5))
    timed = {slow.allocation: measurement(0.43), fast.allocation: measurement(0.41)}
    found = reconsider(choice, [slow, fast], timed, by_accuracy)
    assert found.evaluation is fast
    assert found.measurement.median_ms == pytest.approx(0.41)


def test_what_falls_below_the_accuracy_floor_is_never_placed_first() -> None:
    evaluations = [
        evaluation(1, allocation(2), score=0.9399, latency_ms=0.1),
        evaluation(2, allocation(4), score=0.94, latency_ms=0.6),
        evaluation(3, allocation(6), score=0.96, latency_ms=0.7),
    ]
    config = RewardConfig().asked_inversely(0.01)
    assert [item.index for item in rank(evaluations, REFERENCE, config)] == [2, 3, 1]
