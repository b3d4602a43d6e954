"""Retraining by others: what comes of it is what this process comes to alone, in the same order."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from env.errors import EvaluationLimitError, TaskError
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.training_pool import TrainedCandidate, Training, WorkersConfig
from hardware.errors import HardwareLostError
from quant.allocation import Allocation
from quant.errors import TrainingError
from tests.env.conftest import SmallDigits
from tests.env.evaluating.test_evaluator import QUICK, uniform

WIDTHS = (8, 7, 6, 5, 4)


class Promise:
    def __init__(self, work: Callable[[], TrainedCandidate]) -> None:
        self.work, self.cancelled = work, False

    def result(self) -> TrainedCandidate:
        return self.work()

    def cancel(self) -> None:
        self.cancelled = True


class OtherProcess:
    """A pool whose workers are another evaluator, and finish when they are asked."""

    workers = 1

    def __init__(self, evaluator: Evaluator, fails_at: int = -1, lost_at: int = -1) -> None:
        self.evaluator, self.fails_at, self.lost_at = evaluator, fails_at, lost_at
        self.asked: list[Allocation] = []
        self.promises: list[Promise] = []

    def submit(self, allocation: Allocation, repeat: int) -> Training:
        number = len(self.asked)
        self.asked.append(allocation)

        def work() -> TrainedCandidate:
            if number == self.fails_at:
                raise TrainingError("the training loss became nan")
            if number == self.lost_at:
                raise HardwareLostError("no machine is left")
            return replace(self.evaluator.train_and_score(allocation, repeat), seconds=2.5)

        self.promises.append(Promise(work))
        return self.promises[-1]


def make(
    small: SmallDigits, pool: OtherProcess | None = None, limit: int = 8, proposals: int = 1
) -> Evaluator:
    return Evaluator(
        small.network.clone(),
        small.device,
        small.task.train,
        small.task.search,
        EnvConfig(finetune=QUICK),
        seed=0,
        limit=limit,
        pool=pool,
        proposals=proposals,
    )


def same(found: list[Evaluation], expected: list[Evaluation]) -> bool:
    spent = {"train_s": 0.0, "build_s": 0.0, "measure_s": 0.0}
    return [replace(e, **spent) for e in found] == [replace(e, **spent) for e in expected]  # type: ignore[arg-type]


def test_evaluations_are_those_of_one_process(small_digits: SmallDigits) -> None:
    allocations = [uniform(small_digits, width) for width in WIDTHS]
    expected = make(small_digits).evaluate(allocations)
    pool = OtherProcess(make(small_digits))
    found = make(small_digits, pool).evaluate(allocations)
    assert same(found, expected)
    assert pool.asked == allocations
    assert {evaluation.train_s for evaluation in found} == {2.5}
    again = make(small_digits, OtherProcess(make(small_digits)))
    repeats = again.evaluate(allocations[:1]) + again.evaluate(allocations[:1], repeat=1)
    alone = make(small_digits)
    assert same(
        repeats, alone.evaluate(allocations[:1]) + alone.evaluate(allocations[:1], repeat=1)
    )
    assert repeats[0].loss != repeats[1].loss


def test_a_candidate_that_cannot_be_trained_is_a_value(small_digits: SmallDigits) -> None:
    pool = OtherProcess(make(small_digits), fails_at=1)
    found = make(small_digits, pool).evaluate([uniform(small_digits, w) for w in WIDTHS])
    assert [bool(evaluation.error) for evaluation in found] == [False, True, False, False, False]
    assert "became nan" in found[1].error


def test_those_before_a_loss_are_kept_and_those_after_it_called_off(
    small_digits: SmallDigits,
) -> None:
    pool = OtherProcess(make(small_digits), lost_at=2)
    evaluator = make(small_digits, pool)
    with pytest.raises(HardwareLostError):
        evaluator.evaluate([uniform(small_digits, width) for width in WIDTHS])
    assert [evaluation.index for evaluation in evaluator.evaluations] == [0, 1]
    assert all(promise.cancelled for promise in pool.promises[2:])
    assert not any(promise.cancelled for promise in pool.promises[:2])


def test_the_limit_holds_and_no_more_is_asked_for(small_digits: SmallDigits) -> None:
    pool = OtherProcess(make(small_digits))
    evaluator = make(small_digits, pool, limit=3)
    with pytest.raises(EvaluationLimitError):
        evaluator.evaluate([uniform(small_digits, width) for width in WIDTHS])
    assert len(evaluator.evaluations) == len(pool.asked) == 3


def test_what_was_evaluated_before_is_not_asked_for_again(small_digits: SmallDigits) -> None:
    allocations = [uniform(small_digits, width) for width in WIDTHS]
    expected = make(small_digits).evaluate(allocations)
    pool = OtherProcess(make(small_digits))
    resumed = make(small_digits, pool)
    resumed._past.extend(expected[:3])
    assert same(resumed.evaluate(allocations), expected)
    assert pool.asked == allocations[3:]


def test_methods_propose_as_many_as_they_are_told_to(small_digits: SmallDigits) -> None:
    assert make(small_digits).parallel == 1
    assert make(small_digits, proposals=4).parallel == 4
    serial = make(small_digits, proposals=4)
    found = serial.evaluate([uniform(small_digits, width) for width in WIDTHS])
    assert same(found, make(small_digits).evaluate([uniform(small_digits, w) for w in WIDTHS]))


def test_workers_that_nobody_starts_are_refused() -> None:
    with pytest.raises(TaskError, match="2 of them need a Ray cluster, found none named"):
        WorkersConfig(workers=2)
    assert WorkersConfig(workers=2, ray="auto").proposals == 1
