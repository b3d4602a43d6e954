"""Server, keepers, jobs, boards and trackers killed at random moments: every job ends once.

A few moments each, as continuous integration plays them; with BITALLOC_KILLS=20 as many.
"""

import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments.service.folder import ServiceFolder
from experiments.service.store.job import State
from tests.experiments.boards.board_jobs import check_store
from tests.experiments.service.served import SMALL, Served, served
from tests.experiments.service.work.shelf import ON_BOARD, shelf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("BITALLOC_KILLS", "3"))
_EVALUATIONS = 6


@pytest.mark.parametrize("victim", ["server", "keeper", "job"])
def test_kills_lose_and_double_nothing(tmp_path: Path, victim: str) -> None:
    moments = random.Random(f"service {victim}")
    with served(tmp_path / "service") as server:
        stream, kills = _Stream(server, SMALL), 0
        while stream.goes_on(kills):
            time.sleep(moments.uniform(0.0, 3.0))
            if kills == KILLS:
                continue
            if victim == "server":
                server.kill()
                server.start()
                kills += 1
            else:
                kills += stream.kill(victim, moments)
        jobs = stream.check()
        if victim == "server":  # what runs does not notice
            assert {job["attempts"] for job in jobs} == {1}
    _check_stores(tmp_path / "service")
    print(f"{kills} kills of a {victim}: {[job['attempts'] for job in jobs]} attempts")


@pytest.mark.parametrize("victim", ["board", "tracker"])
def test_boards_and_trackers_that_are_killed_are_waited_for(tmp_path: Path, victim: str) -> None:
    moments = random.Random(f"service {victim}")
    with (
        # As docs/boards.md has it: a board ends when it has missed its tracker for a minute.
        shelf(tmp_path, "--restart") as lent,
        served(tmp_path / "service", "--tracker", lent.tracker.address) as server,
    ):
        stream, kills = _Stream(server, ON_BOARD), 0
        while stream.goes_on(kills):
            time.sleep(moments.uniform(0.0, 6.0))
            if kills < KILLS and server.processes():
                lent.kill(victim)
                kills += 1
                time.sleep(moments.uniform(0.0, 2.0))
                lent.start(victim)
        jobs = stream.check()
        assert lent.tracked().free == 1, "somebody still holds the board"
    rows = [row for name in stream.names for row in _rows(tmp_path / "service", name)]
    check_store(tmp_path / "service" / "store.sqlite", rows)
    _check_stores(tmp_path / "service")
    print(f"{kills} kills of a {victim}: {[job['attempts'] for job in jobs]} attempts")


@dataclass
class _Stream:
    """Small jobs, one after another, until all kills were made."""

    server: Served
    settings: Any
    names: list[str] = field(default_factory=list)
    borne: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each job: how many evaluations it had at its last kill, and kills since it had more."""

    def goes_on(self, kills: int) -> bool:
        """Whether something is to come; hands in the next job."""
        waiting = sum(not State(job["state"]).over for job in self._jobs())
        if kills < KILLS and waiting < 2:
            number = len(self.names)
            settings = {**self.settings, "evaluations": _EVALUATIONS, "seed": number}
            with self.server.client() as client:
                client.submit("search", settings, id=f"job-{number}")
            self.names.append(f"job-{number}")
        return kills < KILLS or waiting > 0

    def kill(self, victim: str, moments: random.Random) -> bool:
        """Kill the keeper or the process of the job that runs, if that may be; whether it was.

        The third kill in a row without progress would be a job's last.
        """
        running = [job for job in self._jobs() if job["state"] == "running"]
        if not running:
            return False
        (job,) = running
        done, count = self.borne.get(job["id"], (-1, 0))
        count = count if done == job["done"] else 0
        if count == 2 or (count == 1 and moments.random() < 0.7):
            return False
        for process in _processes_of(self.server, job["id"], victim):
            process.kill()
            self.borne[job["id"]] = (job["done"], count + 1)
            return True
        return False

    def check(self) -> list[dict[str, Any]]:
        """Expect each job to have ended well, once, with each evaluation once; return them."""
        jobs = self._jobs()
        with self.server.client() as client:
            for job in jobs:
                assert job["state"] == "succeeded", (job, client.logs(job["id"])[-2000:])
                _check_once(self.server, job["id"])
                events = list(client.events(job["id"]))
                assert [event.number for event in events] == list(range(1, len(events) + 1))
                ends = [e for e in events if State(e.document.get("state", "queued")).over]
                assert len(ends) == 1, job
                indices = [e.document["index"] for e in events if e.kind == "evaluation"]
                assert indices == list(range(job["done"])), job
        assert not self.server.processes()
        assert "Traceback" not in self.server.stop()
        return jobs

    def _jobs(self) -> list[dict[str, Any]]:
        with self.server.client() as client:
            return [client.job(name) for name in self.names]


def _processes_of(server: Served, name: str, victim: str) -> Iterator[psutil.Process]:
    """Yield the keeper of a job, or its other processes."""
    folder = str(server.folder / "jobs" / name)
    for process in server.processes():
        try:
            words, place = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        is_keeper = any("keeper" in word for word in words)
        if (folder in words or place == folder) and is_keeper == (victim == "keeper"):
            yield process


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    file = ServiceFolder(folder).job(name).run / "evaluations.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def _check_once(server: Served, name: str) -> None:
    """Expect each evaluation of a run once, in order, in its file."""
    lines = _rows(server.folder, name)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    searched = [line for line in lines if line["proposer"] != "table"]
    assert len(searched) == _EVALUATIONS
    assert (ServiceFolder(server.folder).job(name).run / "results.json").is_file()


def _check_stores(folder: Path) -> None:
    for name in ("service.sqlite", "store.sqlite"):
        with sqlite3.connect(folder / name) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
