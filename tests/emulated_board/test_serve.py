"""Whoever has no board serves the emulated one, and attaches it as it says."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.terminal.exit_codes import DONE
from tests.emulated_board.board import EmulatedBoard

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.board, pytest.mark.timeout(600)]


@pytest.fixture
def said(board: EmulatedBoard) -> Iterator[list[str]]:
    """Return what it prints until it waits."""
    command = [sys.executable, "-m", "tests.emulated_board.serve"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        yield [serving.stdout.readline().strip() for _ in range(4)]
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=60) == 0


def test_the_doctor_finds_it_by_the_lines_that_are_printed(said: list[str]) -> None:
    *_, path, doctor = said
    assert path.startswith("export PATH=")
    command = f"{shlex.quote(sys.executable)} -m experiments.boards doctor --target.board rpi4"
    assert doctor.startswith(command)
    tools = path.removeprefix("export PATH=").partition(":")[0]
    done = subprocess.run(
        [sys.executable, *shlex.split(doctor)[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == DONE, done.stdout + done.stderr
    assert "equal to the bit" in done.stdout
    assert "emulated" in done.stdout
