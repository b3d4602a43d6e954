"""The example of a container, which no machine of ours builds: linted, and true to the package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bitalloc.command import COMMANDS
from experiments.service.serve import ServeOptions

_FILE = Path(__file__).parents[3] / "examples" / "service" / "Containerfile"


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint")
    done = subprocess.run([hadolint, _FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_starts_what_there_is_with_flags_that_there_are() -> None:
    lines = [line for line in _FILE.read_text().splitlines() if not line.startswith("#")]
    started = next(line for line in lines if line.startswith("ENTRYPOINT"))
    _, _, name, command, *flags = json.loads(started.removeprefix("ENTRYPOINT"))
    assert (name, command) == ("bitalloc", "serve")
    assert command in COMMANDS
    named = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert named <= set(ServeOptions.__dataclass_fields__)
    assert not any("ADD http" in line or "curl" in line for line in lines)
