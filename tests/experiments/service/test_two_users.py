"""Two users of one machine, of whom one came first with many jobs."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.service.store.jobs import Quotas
from experiments.service.store.tokens import Role
from tests.experiments.service.conftest import LIMITS, lend
from tests.experiments.service.served import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_STARTS = 40
_JOBS = 60
"""Of each: enough are left when the last was handed in, though the first have begun by then."""


def test_started_jobs_are_equal_within_a_fifth(tmp_path: Path) -> None:
    # Every process is ended as soon as it has begun: what is judged is whose turn it was.
    quotas = Quotas(queued=2 * _JOBS, running=2 * _JOBS, evaluations_a_day=100_000)
    limits = replace(LIMITS, memory_bytes=1_000_000, quotas=quotas)
    with lend(tmp_path, limits) as here:
        names = ("ada", "bob")
        tokens = {name: here.service.tokens.create(name, Role.USER) for name in names}
        for name in names:
            with here.client(tokens[name]) as client:
                for number in range(_JOBS):
                    client.submit("search", SMALL, id=f"{name}-{number}", priority=number % 3)
        until = time.monotonic() + 1500
        started: list[str] = []
        while len(started) < _STARTS:
            assert time.monotonic() < until
            time.sleep(0.5)
            rows = here.service.database.rows(
                "SELECT user FROM jobs WHERE started_s > (SELECT MAX(created_s) FROM jobs)"
                " ORDER BY started_s LIMIT ?",
                (_STARTS,),
            )
            started = [row["user"] for row in rows]
        for token in tokens.values():
            with here.client(token) as client:
                for job in client.jobs(["queued"]):
                    client.cancel(job["id"])
    counts = Counter(started)
    assert set(counts) == set(names)
    assert max(counts.values()) - min(counts.values()) <= 0.2 * _STARTS / 2, counts
