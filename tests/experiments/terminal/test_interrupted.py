"""Ctrl-C before a command has loaded what it needs: one word, as later on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize(
    "command", [["-m", "experiments.run"], ["-m", "bitalloc.command", "bench", "mca"]]
)
def test_an_interrupt_while_a_command_loads_is_one_word(command: list[str], tmp_path: Path) -> None:
    # What stands in the folder that it is started in comes first, and is loaded in torch's place.
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == "interrupted\n"
    assert done.returncode == -signal.SIGINT  # a shell says 130


def test_a_program_of_the_users_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import experiments\nraise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr.startswith("Traceback")
