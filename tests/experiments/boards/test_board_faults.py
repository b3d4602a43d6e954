"""What boards do to a run: real tracker, real agents, real processes that are killed and frozen.

Every test says which rows exist afterwards. The board is this machine, in processes of its own.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from experiments.report.command import main as report_main
from experiments.terminal.exit_codes import HARDWARE_LOST
from hardware.board import names
from tests.experiments.boards.board_jobs import (
    EVALUATIONS,
    Job,
    check_rows,
    check_store,
    without_evaluations,
)
from tests.hardware.host.remote.boards import Board, Tracker, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SERVING = "start serving"
"""What a board writes when a session begins."""


@dataclass
class Desk:
    """A tracker's port, and what makes boards that register with it."""

    folder: Path
    port: int
    prepared: Path
    """Store of a run that nothing disturbed."""
    jobs: list[Job] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tracker(self) -> Tracker:
        return Tracker(self.folder, self.port)

    def board(self, *flags: str) -> Board:
        return Board(self.folder, "--tracker", self.address, "--key", "desk", *flags)

    def hold(self) -> Any:
        """Take the board as another host would; it is free again with the last reference."""
        from tvm import rpc

        session = rpc.connect_tracker("127.0.0.1", self.port).request("desk")
        session.get_function(names.OPEN)(300)
        return session

    def job(self, name: str, **options: float | str) -> Job:
        """Start a run that finds the layer table in its own store, and nothing else."""
        store = without_evaluations(self.prepared, self.folder / f"{name}.sqlite")
        job = Job(self.folder / name, self.address, store=store, **options)  # type: ignore[arg-type]
        self.jobs.append(job)
        return job


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Run the job once without any fault; then the tests take boards away."""
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder=folder, port=free_port(), prepared=folder / "undisturbed.sqlite")
    with desk.tracker(), desk.board():
        job = Job(folder / "undisturbed", desk.address, store=desk.prepared)
        assert job.exit_code() == 0, job.told()[-3000:]
    check_rows(job.rows())
    check_store(job.store, job.rows())
    yield desk
    for job in desk.jobs:  # those that a failed test left behind
        job.process.kill()


def during_a_session_after(job: Job, board: Board, rows: int) -> None:
    """Wait until the board is in a session that began after so many finished evaluations."""
    job.wait_for_rows(rows)
    board.wait_for(SERVING, board.told().count(SERVING) + 1)


def finished(job: Job) -> bool:
    return (job.folder / "results.json").exists()


def test_a_board_killed_after_the_run_changes_nothing(desk: Desk) -> None:
    # The board of the fixture's run is gone; its rows, its page and its store are not.
    folder = (desk.folder / "undisturbed" / "latest").resolve()
    before = (folder / "evaluations.jsonl").read_bytes()
    assert report_main([str(folder)]) == 0
    assert (folder / "evaluations.jsonl").read_bytes() == before


def test_a_board_killed_before_the_run_leaves_no_row_and_resume_completes(desk: Desk) -> None:
    with desk.tracker():
        with desk.board() as board:
            board.signal(signal.SIGKILL)
        job = desk.job("before", reconnect_s=3.0)
        assert job.exit_code() == HARDWARE_LOST, job.told()
        assert "expected a board registered as 'desk'" in job.told()
        assert "--resume" in job.told()
        assert job.rows() == []
        with desk.board():
            assert job.resume() == 0, job.told()
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_a_board_killed_in_a_measurement_keeps_finished_rows_and_resume_adds_the_rest(
    desk: Desk,
) -> None:
    with desk.tracker():
        with desk.board() as board:
            job = desk.job("during", reconnect_s=5.0)
            during_a_session_after(job, board, rows=2)
            board.signal(signal.SIGKILL)
            assert job.exit_code() == HARDWARE_LOST, job.told()
        kept = job.rows()
        assert 2 <= len(kept) < EVALUATIONS
        check_rows(kept, len(kept))
        check_store(job.store, kept)
        assert not finished(job)
        with desk.board():
            assert job.resume() == 0, job.told()
    assert job.rows()[: len(kept)] == kept
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_a_board_that_is_started_again_in_time_costs_nothing(desk: Desk) -> None:
    with desk.tracker():
        with desk.board() as board:
            job = desk.job("again", reconnect_s=60.0)
            during_a_session_after(job, board, rows=2)
        with desk.board():
            assert job.exit_code() == 0, job.told()
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_a_board_frozen_for_a_minute_is_waited_for(desk: Desk) -> None:
    with desk.tracker(), desk.board("--restart") as board:
        job = desk.job("frozen", reconnect_s=180.0)
        during_a_session_after(job, board, rows=2)
        board.signal(signal.SIGSTOP)
        frozen = time.monotonic()
        rows = len(job.rows())
        while time.monotonic() - frozen < 60.0:
            time.sleep(1.0)
            assert job.process.poll() is None, job.told()
            assert len(job.rows()) <= rows + 1  # the one whose measurement was over already
        board.signal(signal.SIGCONT)
        assert job.exit_code() == 0, job.told()
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_a_tracker_started_again_costs_nothing(desk: Desk) -> None:
    with desk.tracker() as tracker, desk.board() as board:
        job = desk.job("tracker", reconnect_s=120.0)
        during_a_session_after(job, board, rows=1)
        tracker.close()
        time.sleep(3.0)
        with desk.tracker():
            assert job.exit_code() == 0, job.told()
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_a_candidate_with_an_illegal_instruction_is_a_row_with_its_error(desk: Desk) -> None:
    with desk.tracker(), desk.board("--restart"):
        job = desk.job("crash", reconnect_s=60.0, module="tests.experiments.run.run_with_crash")
        assert job.exit_code() == 0, job.told()
    rows = job.rows()
    assert [row["index"] for row in rows] == list(range(EVALUATIONS))
    (crashed,) = (row for row in rows if row["error"])
    assert crashed["index"] == 2
    assert "ended the board's session with SIGILL" in crashed["error"]
    assert crashed["measurement"] is None
    assert crashed["latency_ms"] is None
    check_store(job.store, rows)


def test_a_board_that_joins_late_is_waited_for(desk: Desk) -> None:
    with desk.tracker():
        job = desk.job("late", reconnect_s=90.0)
        time.sleep(15.0)
        assert job.process.poll() is None, job.told()
        assert job.rows() == []
        with desk.board():
            assert job.exit_code() == 0, job.told()
    check_rows(job.rows())
    check_store(job.store, job.rows())


def test_two_runs_share_one_board(desk: Desk) -> None:
    with desk.tracker(), desk.board():
        jobs = [desk.job(name, reconnect_s=60.0) for name in ("one", "other")]
        for job in jobs:
            assert job.exit_code() == 0, job.told()
    for job in jobs:
        check_rows(job.rows())
        check_store(job.store, job.rows())


def test_a_board_that_somebody_keeps_is_waited_for_beyond_the_time_of_a_lost_one(
    desk: Desk,
) -> None:
    with desk.tracker(), desk.board() as board:
        job = desk.job("kept", reconnect_s=5.0)
        job.wait_for_rows(2)
        holder = desk.hold()
        rows = len(job.rows())
        time.sleep(15.0)
        assert job.process.poll() is None, job.told()
        assert len(job.rows()) <= rows + 1
        del holder
        assert job.exit_code() == 0, job.told()
        assert board.process.poll() is None
    check_rows(job.rows())
    check_store(job.store, job.rows())
