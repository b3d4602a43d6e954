"""Real jobs on the simulated device: from a request to files, and through every end."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from experiments.record.run_record import RunRecord
from tests.experiments.service.served import SMALL, Served, served, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served") / "service", "--running", "1") as server:
        yield server


def test_a_search_from_the_request_to_its_files(server: Served, tmp_path: Path) -> None:
    with server.client() as client:
        client.submit("search", SMALL, id="whole")
        client.submit("evaluate", of="whole", id="whole-test")
        events = list(client.events("whole"))
        done = [event for event in events if event.kind == "evaluation"]
        job = client.job("whole")
        assert job["state"] == "succeeded", client.logs("whole")
        assert job["health"] == "VALID"
        assert job["done"] == len(done)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.document["index"] for event in done] == list(range(len(done)))
        # A second look goes on where the first one was.
        assert list(client.events("whole", after=len(events) - 1)) == events[-1:]

        fetched = client.fetch("whole", tmp_path / "home")
        record = RunRecord(tmp_path / "home")
        assert record.best is not None
        assert [item.score for item in record.evaluations] == [e.document["score"] for e in done]
        assert tmp_path / "home" / "report.html" in fetched
        _check_ranges(server, "whole", "results.json", tmp_path / "home" / "results.json")

        test = client.wait("whole-test")
        assert test["state"] == "succeeded", client.logs("whole-test")
        assert "evaluate.json" in {item["name"] for item in client.artifacts("whole")}
        text = httpx.get(
            f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"}
        ).text
        assert 'bitalloc_evaluations_total{method="reference",outcome="measured"} 1.0' in text
        assert f"bitalloc_evaluation_seconds_count {len(done)}.0" in text.replace(".0.0", ".0")
        machine = next(b for b in client.boards() if b["key"] == "this machine")
        assert machine["facts"]["cpu"] == "simulated"
        client.delete("whole-test")
        client.delete("whole")
        assert not server.folder.joinpath("jobs", "whole").exists()


def _check_ranges(server: Served, id: str, name: str, file: Path) -> None:
    url = f"{server.url}/v1/jobs/{id}/artifacts/{name}"
    headers = {"Authorization": f"Bearer {server.token}"}
    content = file.read_bytes()
    whole = httpx.get(url, headers=headers)
    assert whole.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    part = httpx.get(url, headers={**headers, "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    same = httpx.get(url, headers={**headers, "If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    beyond = httpx.get(url, headers={**headers, "Range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416


def test_every_other_kind(server: Served, tmp_path: Path) -> None:
    simulated = {"target.runner": "simulated", "protocol.repeats": 5}
    with server.client() as client:
        client.submit("measure", simulated, id="m", bits=4)
        client.submit("staircase", simulated, id="s", bits=[4])
        client.submit("compare", SMALL, id="c", methods=["random"], budgets=[0.5])
        assert client.wait("m")["health"] == "VALID"
        assert client.wait("s")["state"] == "succeeded", client.logs("s")
        assert client.wait("c")["state"] == "succeeded", client.logs("c")
        assert "measured.json" in {item["name"] for item in client.artifacts("m")}
        assert "staircase.json" in {item["name"] for item in client.artifacts("s")}
        names = {item["name"] for item in client.artifacts("c")}
        assert "comparison/comparison.json" in names


def test_a_mistake_that_shows_late_is_the_users_with_its_sentence(server: Served) -> None:
    settings = {**SMALL, "budget.latency_ms": 1e-9}
    with server.client() as client:
        client.submit("search", settings, id="impossible")
        client.submit("evaluate", of="impossible", id="never")
        job = client.wait("impossible")
        assert (job["state"], job["fault"]) == ("failed", "user")
        assert "budget" in job["reason"]
        assert "Traceback" not in client.logs("impossible")
        never = client.wait("never")
        assert (never["state"], never["fault"]) == ("failed", "user")
        assert "impossible" in never["reason"]


def test_cancelling_ends_every_process_within_seconds(server: Served) -> None:
    with server.client() as client:
        client.submit("search", {**SMALL, "evaluations": 200}, id="long")
        wait_for(client, "long", "running")
        for event in client.events("long"):
            if event.kind == "evaluation":
                break
        asked = time.monotonic()
        assert client.cancel("long")["state"] == "running"
        job = wait_for(client, "long", "cancelled")
        print(f"ended after {time.monotonic() - asked:.1f} s")  # 10 at most, were it not busy
        assert job["done"] >= 1
        assert not server.processes()


def test_time_and_memory_end_a_job_and_say_so(server: Served) -> None:
    with server.client() as client:
        client.submit("search", {**SMALL, "evaluations": 500}, id="slow", wall_s=2.0)
        client.submit("search", SMALL, id="large", memory_bytes=50_000_000)
        slow, large = client.wait("slow"), client.wait("large")
    assert (slow["state"], slow["fault"]) == ("failed", "user")
    assert "longer than its 2 s" in slow["reason"]
    assert (large["state"], large["fault"]) == ("failed", "user")
    assert "resident memory" in large["reason"]


def test_a_job_whose_process_always_dies_is_lost_and_says_why(server: Served) -> None:
    with server.client() as client:
        client.submit("search", SMALL, id="doomed")
        kills = 0
        while (job := client.job("doomed"))["state"] in ("queued", "running"):
            for process in _jobs_own(server, "doomed"):
                process.kill()
                kills += 1
            time.sleep(0.05)
    assert job["state"] == "lost", job
    assert "SIGKILL" in job["reason"]
    assert job["attempts"] == 3
    assert kills >= 3


def _begin_search(server: Served) -> None:
    """Hand in a search, and return when it has evaluated something."""
    with server.client() as client:
        client.submit("search", {**SMALL, "evaluations": 8}, id="on")
        for event in client.events("on"):
            if event.kind == "evaluation":
                break


def test_a_stopped_server_saves_what_runs_and_goes_on(tmp_path: Path) -> None:
    with served(tmp_path / "service") as server:
        _begin_search(server)
        assert "Traceback" not in server.stop()
        assert server.process is not None
        assert server.process.returncode == 0
        assert not server.processes()
        server.start()
        with server.client() as client:
            job = client.wait("on")
            assert job["state"] == "succeeded", client.logs("on")
            assert "going on after" in client.logs("on")
            done = [e.document["index"] for e in client.events("on") if e.kind == "evaluation"]
            assert done == list(range(job["done"]))


def _jobs_own(server: Served, id: str) -> list[psutil.Process]:
    """Return the processes of a job without its keeper."""
    return [
        process
        for process in server.processes()
        if not any("keeper" in word for word in _words(process))
        and str(server.folder / "jobs" / id) in str(_place(process))
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _place(process: psutil.Process) -> Any:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def test_a_server_that_is_killed_finds_its_jobs_again(tmp_path: Path) -> None:
    with served(tmp_path / "service") as server:
        _begin_search(server)
        before = {process.pid for process in server.processes()}
        server.kill()
        assert before
        server.start()
        with server.client() as client:
            job = client.wait("on")
            assert job["state"] == "succeeded", client.logs("on")
            assert job["attempts"] == 1, "it ran on, and nothing was started again"
