"""Two hundred jobs and five hundred followers: what the server itself says of its answers.

`pytest -m slow -s tests/experiments/service/test_load.py` prints the figures of docs/service.md.
"""

import asyncio
import multiprocessing
import os
import platform
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from quant.records.json_form import to_plain
from tests.experiments.service.served import SMALL, Served, served, wait_for
from tools.train_policy.networks import draw_space, draw_times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_JOBS, _FOLLOWERS, _REQUESTS = 200, 500, 600
_STREAMS = 800
_MOST_BYTES = 500e6
_NICE = 10
_ROUTE = "/v1/jobs/{id}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("loaded") / "service"
    with served(folder, "--streams", str(_STREAMS), "--queued", "1000") as server:
        yield server


def test_many_jobs_and_followers_are_answered_soon_and_in_little_memory(server: Served) -> None:
    with server.client() as client:
        for number in range(_JOBS):
            more = {"evaluations": 200, "seed": number}
            client.submit("search", {**SMALL, **more}, id=f"load-{number}")
        wait_for(client, "load-0", "running")
    # Most follow what runs, and are told each of its evaluations; the others what waits.
    followed = [number % 5 if number % 4 == 0 else 0 for number in range(_FOLLOWERS)]
    before = _seconds(server)
    headers = {"Authorization": f"Bearer {server.token}"}
    with _following(server, [f"/v1/jobs/load-{number}/events" for number in followed]) as told:
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            for number in range(_REQUESTS):
                assert client.get(f"/v1/jobs/load-{number % _JOBS}").status_code == 200
                time.sleep(0.02)
        open_streams = _value(server, "bitalloc_open_streams")
    assert server.process is not None
    resident = psutil.Process(server.process.pid).memory_info().rss
    counts = _differences(before, _seconds(server))
    median_ms, ninth_ms = (1000 * _quantile(counts, share) for share in (0.5, 0.9))
    print(
        f"\n{_JOBS} jobs, {open_streams:.0f} followers ({told} events), {_REQUESTS} requests: "
        f"median {median_ms:.1f} ms, 90 % {ninth_ms:.1f} ms, {resident / 1e6:.0f} MB; "
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {_cpu()}"
    )
    assert open_streams == _FOLLOWERS
    assert told.total() > _FOLLOWERS  # each heard at least how its job stands
    assert resident < _MOST_BYTES
    assert median_ms < 1000, "twenty milliseconds, were the machine not busy"
    with server.client() as client:
        for job in list(client.jobs(["queued", "running"])):
            client.cancel(job["id"])
        wait_for(client, "load-0", "cancelled")


def test_an_answer_for_sixty_layers(server: Served) -> None:
    rng = np.random.default_rng(1)
    layers = next(
        space.layers
        for space in (draw_space(rng) for _ in range(10_000))
        if len(space.layers) == 60
    )
    network = {"layers": to_plain(layers), "table": to_plain(draw_times(layers, rng))}
    before = _seconds(server, "POST", "/v1/allocate")
    with server.client() as client:
        for _ in range(10):
            assert client.allocate(network=network, latency_ratio=0.9)["predicted"]
    counts = _differences(before, _seconds(server, "POST", "/v1/allocate"))
    median_ms = 1000 * _quantile(counts, 0.5)
    print(f"\nan answer for 60 layers: median {median_ms:.0f} ms; load {os.getloadavg()[0]:.1f}")
    assert median_ms < 60_000


def test_a_thousand_streams_are_bounded_and_nobody_else_notices(server: Served) -> None:
    with server.client() as client:
        client.submit("search", {**SMALL, "evaluations": 200}, id="crowded")
    with _following(server, ["/v1/jobs/crowded/events"] * 1000) as told:
        assert told["200"] == _STREAMS
        assert told["503"] == 1000 - _STREAMS
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        with server.client() as client:
            client.cancel("crowded")
            wait_for(client, "crowded", "cancelled")
    assert _value(server, "bitalloc_open_streams") == 0


@contextmanager
def _following(server: Served, paths: list[str]) -> Iterator[Counter[str]]:
    """Follow events from a process of its own, niced; lends what it was told, by kind."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_follow, args=(theirs, server.url, server.token, paths))
    process.start()
    told: Counter[str] = Counter()
    try:
        assert ours.poll(300), "the followers did not get through"
        told.update(ours.recv())
        yield told
    finally:
        ours.send("end")
        if ours.poll(60):
            told.clear()
            told.update(ours.recv())
        process.join(60)
        process.kill()


def _follow(pipe: Connection, url: str, token: str, paths: list[str]) -> None:
    os.nice(_NICE)
    asyncio.run(_follow_all(pipe, url, token, paths))


async def _follow_all(pipe: Connection, url: str, token: str, paths: list[str]) -> None:
    told: Counter[str] = Counter()
    host, _, port = url.removeprefix("http://").partition(":")
    answered = asyncio.Semaphore(0)

    async def follow(path: str) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
        writer.write(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        told[(await reader.readline()).split()[1].decode()] += 1
        answered.release()
        while line := await reader.readline():
            told["event"] += line.startswith(b"event: ")
        writer.close()

    tasks = []
    for path in paths:
        tasks.append(asyncio.create_task(follow(path)))
        await asyncio.sleep(0.005)
    for _ in paths:
        await answered.acquire()
    pipe.send(told)
    await asyncio.to_thread(pipe.recv)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send(told)


def _metrics(server: Served) -> str:
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.get(f"{server.url}/metrics", headers=headers, timeout=60).text


def _value(server: Served, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", _metrics(server), re.MULTILINE)
    assert found is not None
    return float(found[1])


def _seconds(server: Served, method: str = "GET", route: str = _ROUTE) -> dict[float, float]:
    """Return the server's own counts of good answers by the bound of their seconds."""
    pattern = r"^bitalloc_http_seconds_bucket\{(.*)\} (\S+)$"
    found = {}
    for labels, count in re.findall(pattern, _metrics(server), re.MULTILINE):
        if {f'route="{route}"', f'method="{method}"', 'status="200"'} <= set(labels.split(",")):
            bound = re.search(r'le="([^"]+)"', labels)
            assert bound is not None
            found[float(bound[1])] = float(count)
    return found


def _differences(before: dict[float, float], after: dict[float, float]) -> dict[float, float]:
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def _quantile(counts: dict[float, float], share: float) -> float:
    """Return a quantile of a histogram as Prometheus does: straight lines within its buckets."""
    bounds = sorted(counts)
    wanted = share * counts[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= wanted:
            if bound == float("inf"):
                return lower
            inside = counts[bound] - below
            return lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)
        lower, below = bound, counts[bound]
    return lower


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
