"""Ctrl-C before a command has loaded what it needs: one word, as later on."""

import signal
from pathlib import Path

import pytest

from tests.experiments.started import started


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize(
    "command", [["-m", "experiments.run"], ["-m", "bitalloc.command", "bench", "mca"]]
)
def test_an_interrupt_while_a_command_loads_is_one_word(command: list[str], tmp_path: Path) -> None:
    # What stands in the folder that it is started in comes first, and is loaded in torch's place.
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    done = started(tmp_path, *command)
    assert done.stderr == "interrupted\n"
    assert done.returncode == -signal.SIGINT  # a shell says 130


def test_a_program_of_the_users_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import experiments\nraise KeyboardInterrupt")
    done = started(tmp_path, "mine.py")
    assert done.stderr.startswith("Traceback")
