"""Whose turn it is."""

import random
from collections import Counter
from dataclasses import replace

from experiments.service.store.job import Job
from experiments.service.work.fair import next_job
from tests.experiments.service.work.one_job import JOB


def _job(user: str, number: int, priority: int = 0) -> Job:
    return replace(JOB, id=f"{user}-{number}", user=user, number=number, priority=priority)


def test_two_users_start_equally_often_whoever_came_first() -> None:
    waiting = [_job("ada", number) for number in range(100)]
    waiting += [_job("bob", number) for number in range(100, 200)]
    starts: Counter[str] = Counter()
    last: dict[str, float] = {}
    for moment in range(40):
        job = next_job(waiting, [], last, {})
        assert job is not None
        waiting.remove(job)
        starts[job.user] += 1
        last[job.user] = float(moment + 1)
    assert starts == {"ada": 20, "bob": 20}


def test_whoever_runs_less_comes_first() -> None:
    waiting = [_job("ada", 1), _job("bob", 2)]
    assert next_job(waiting, [_job("ada", 0)], {"bob": 9.0}, {}) == waiting[1]


def test_priority_orders_the_jobs_of_one_user_alone() -> None:
    waiting = [_job("ada", 1), _job("ada", 2, priority=5), _job("bob", 3)]
    random.Random(1).shuffle(waiting)
    chosen = next_job(waiting, [], {"bob": 1.0}, {})
    assert chosen is not None
    assert chosen.id == "ada-2"
    assert next_job(waiting, [], {"ada": 1.0}, {}) == next(j for j in waiting if j.user == "bob")


def test_no_user_runs_more_than_may() -> None:
    waiting = [_job("ada", 3), _job("bob", 4)]
    running = [_job("ada", 1), _job("bob", 2)]
    assert next_job(waiting, running, {}, {"ada": 1, "bob": 1}) is None
    chosen = next_job(waiting, running, {}, {"ada": 1, "bob": 2})
    assert chosen is not None
    assert chosen.user == "bob"
