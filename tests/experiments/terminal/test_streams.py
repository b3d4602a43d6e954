"""Readers that go away and terminals without Unicode: the command does its work all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.terminal.exit_codes import USER_MISTAKE

_WORK = """
import sys
from pathlib import Path
from rich.console import Console
from experiments.terminal.exit_codes import run_command
from experiments.terminal.streams import patient_streams

def work():
    for number in range(5000):
        print("99.44 ± 0.39 %", number, flush=number % 2 == 0)
    Console().print("● best …")
    print("warning: ±", file=sys.stderr)
    Path(sys.argv[1]).write_text("done")

with patient_streams():
    code = run_command(work)
sys.exit(code)
"""


def run(done: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; {sys.executable} -c "$WORK" {done} {command}'],
        env={**os.environ, "WORK": _WORK, **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_reader_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    found = run(tmp_path / "done", "| head -1")
    assert (found.returncode, found.stdout) == (0, "99.44 ± 0.39 % 0\n".encode())
    assert (tmp_path / "done").read_text() == "done"
    assert found.stderr.decode() == "warning: ±\n"


@pytest.mark.parametrize(
    ("encoding", "first"), [("ascii", b"99.44 +- 0.39 %"), ("latin-1", b"99.44 \xb1 0.39 %")]
)
def test_a_terminal_without_unicode_gets_plain_letters(
    tmp_path: Path, encoding: str, first: bytes
) -> None:
    found = run(tmp_path / "done", "", PYTHONIOENCODING=encoding)
    assert found.returncode == 0
    assert found.stdout.startswith(first)
    assert b"o best ..." in found.stdout
    assert (tmp_path / "done").read_text() == "done"


def test_the_help_can_be_cut_off() -> None:
    found = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m experiments.run --help | head -1"],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0
    assert found.stdout.startswith(b"usage: python -m experiments.run")
    assert found.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "done", " > /dev/full")
    assert done.returncode == USER_MISTAKE
    assert b"cannot write <stdout>: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
