"""Server, keepers and jobs killed at random moments: every job ends once, nothing is lost."""

import json
import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from experiments.service.folder import ServiceFolder
from experiments.service.store.job import State
from tests.experiments.service.served import SMALL, Served, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = 20
JOBS = 6
_EVALUATIONS = 6


@pytest.mark.parametrize("victim", ["server", "keeper", "job"])
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path, victim: str) -> None:
    moments = random.Random(f"service {victim}")
    names = [f"job-{number}" for number in range(JOBS)]
    with served(tmp_path / "service") as server:
        with server.client() as client:
            for number, name in enumerate(names):
                settings = {**SMALL, "evaluations": _EVALUATIONS, "seed": number}
                client.submit("search", settings, id=name)
        kills, done, twice = 0, 0, False
        while not (now := _progress(server, names)).over:
            # Three ends in a row without progress would be a job's last: two at most are made.
            if victim == "server" or now.done > done or twice:
                time.sleep(moments.uniform(0.0, 3.0))
                if kills < KILLS and _kill(server, victim):
                    kills, twice = kills + 1, now.done > done and moments.random() < 0.3
                    done = now.done
            time.sleep(0.2)
        with server.client() as client:
            jobs = [client.job(name) for name in names]
            for job in jobs:
                _check_once(server, job["id"])
                events = list(client.events(job["id"]))
                assert [event.number for event in events] == list(range(1, len(events) + 1))
                ends = [e for e in events if State(e.document.get("state", "queued")).over]
                assert len(ends) == 1, job
                indices = [e.document["index"] for e in events if e.kind == "evaluation"]
                assert indices == list(range(job["done"])), job
        assert {job["state"] for job in jobs} == {"succeeded"}
        if victim == "server":  # what runs does not notice
            assert {job["attempts"] for job in jobs} == {1}
        assert not server.processes()
        assert "Traceback" not in server.stop()
    _check_store(tmp_path / "service")
    print(f"{kills} kills of a {victim}: {[job['state'] for job in jobs]}")
    assert kills >= KILLS // 2, "the jobs ended before they could be disturbed"


@dataclass(frozen=True)
class _Progress:
    done: int
    """Finished evaluations of all jobs."""
    over: bool


def _progress(server: Served, names: list[str]) -> _Progress:
    with server.client() as client:
        jobs = [client.job(name) for name in names]
    over = all(State(job["state"]).over for job in jobs)
    return _Progress(done=sum(job["done"] for job in jobs), over=over)


def _kill(server: Served, victim: str) -> bool:
    """Kill one process, if there is such a one, and start the server again where it was that."""
    if victim == "server":
        server.kill()
        server.start()
        return True
    for process in server.processes():
        try:
            is_keeper = any("keeper" in word for word in process.cmdline())
        except psutil.Error:
            continue
        if is_keeper == (victim == "keeper"):
            process.kill()
            return True
    return False


def _check_once(server: Served, name: str) -> None:
    """Expect each evaluation of a run once, in order, in its file."""
    file = ServiceFolder(server.folder).job(name).run / "evaluations.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    searched = [line for line in lines if line["proposer"] != "table"]
    assert len(searched) == _EVALUATIONS
    assert (file.parent / "results.json").is_file()


def _check_store(folder: Path) -> None:
    for name in ("service.sqlite", "store.sqlite"):
        with sqlite3.connect(folder / name) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
