"""Who has a board: one job at a time, of whatever kind, and none ten seconds after it is cancelled.

The board is this machine, and what it does is asked of the tracker itself.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from experiments.record import files
from experiments.service.client.client import Client
from experiments.service.folder import ServiceFolder
from tests.experiments.service.served import Served, served, wait_for
from tests.experiments.service.work.shelf import KEY, ON_BOARD, Shelf, shelf
from tests.hardware.host.remote.boards import wait_for_a_timing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_FREE_S = 10.0
_MINUTES = {"repeats": 200, "min_repeat_ms": 1000.0, "timeout_s": 300.0}
"""A protocol whose every timing takes so long, in one call to the board."""


@dataclass(frozen=True)
class _Desk:
    shelf: Shelf
    server: Served

    def seen(self, client: Client) -> dict[str, Any]:
        """Return what the service says of the board."""
        return next(board for board in client.boards() if board["key"] == KEY)

    def is_free(self) -> bool:
        return self.shelf.tracked().free == 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with (
        shelf(folder) as lent,
        served(folder / "service", "--tracker", lent.tracker.address) as server,
    ):
        yield _Desk(lent, server)


def _wait_until(happened: Callable[[], bool], within_s: float, began_s: float) -> None:
    while not happened():
        assert time.monotonic() - began_s < within_s
        time.sleep(0.05)


def _cancel_and_expect_the_board(desk: _Desk, client: Client, id: str) -> None:
    """Cancel a job, and expect that tracker and service say soon that nobody has the board."""
    asked = time.monotonic()
    client.cancel(id)
    _wait_until(desk.is_free, _FREE_S, asked)
    _wait_until(lambda: desk.seen(client)["job"] != id, _FREE_S, asked)
    _wait_until(lambda: desk.seen(client)["free"] == 1, _FREE_S, asked)
    print(f"the board is free {time.monotonic() - asked:.1f} s after {id} was cancelled")
    assert client.job(id)["state"] == "cancelled"
    assert desk.shelf.board.process.poll() is None, "it serves on, and was not started again"


def test_cancelling_in_a_timing_frees_the_board_for_the_next(desk: _Desk) -> None:
    with desk.server.client() as client:
        client.submit("search", {**ON_BOARD, "protocol": _MINUTES}, id="timed")
        wait_for_a_timing(desk.shelf.board)
        assert not desk.is_free()
        client.submit("measure", ON_BOARD, id="next", bits=4)
        waits = wait_for(client, "next", "waiting_for_board")
        assert waits["reason"] == "another job of this service has the board"
        assert waits["fault"] == ""
        _cancel_and_expect_the_board(desk, client, "timed")
        assert client.wait("next")["state"] == "succeeded", client.logs("next")
        assert desk.is_free()


def test_cancelling_in_a_retraining_leaves_the_board_free(desk: _Desk) -> None:
    long = {"steps": 1_000_000, "compensation_images": 32, "held_back_images": 50}
    with desk.server.client() as client:
        env = {**ON_BOARD["env"], "finetune": long}
        client.submit("search", {**ON_BOARD, "env": env}, id="retrained")
        table = ServiceFolder(desk.server.folder).job("retrained").run / files.TABLE
        since = time.monotonic()
        while not (table.is_file() and desk.is_free() and time.monotonic() - since > 4.0):
            job = client.job("retrained")
            assert job["state"] in ("queued", "running"), client.logs("retrained")
            if not (table.is_file() and desk.is_free()):  # it measures still
                since = time.monotonic()
            time.sleep(0.1)
        _cancel_and_expect_the_board(desk, client, "retrained")
        assert not desk.server.processes()


def test_a_measure_job_has_the_board_as_a_search_has_it(desk: _Desk) -> None:
    with desk.server.client() as client:
        client.submit("measure", {**ON_BOARD, "protocol": _MINUTES}, id="measures", bits=8)
        client.submit("measure", ON_BOARD, id="after", bits=4)
        wait_for_a_timing(desk.shelf.board)
        assert not desk.is_free(), "the tracker would lend it to another host"
        waits = wait_for(client, "after", "waiting_for_board")
        assert waits["reason"] == "another job of this service has the board"
        seen = desk.seen(client)
        assert (seen["job"], seen["user"], seen["queued"]) == ("measures", "operator-of-tests", 1)
        _cancel_and_expect_the_board(desk, client, "measures")
        after = client.wait("after")
        assert after["state"] == "succeeded", client.logs("after")
        states = [event.document["state"] for event in client.events("after")]
        assert states == ["queued", "waiting_for_board", "running", "succeeded"]
