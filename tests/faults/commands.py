"""Commands as processes of their own, and what must be true of one that is refused."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.terminal.exit_codes import USER_MISTAKE

SMALL = (
    *("--method", "random", "--evaluations", "8", "--quiet", "--protocol.repeats", "5"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.bit-choices", "4", "8", "--env.finetune.steps", "1", "--env.weights", "shared"),
    *("--final.steps", "1"),
)
SIMULATED = (*SMALL, "--target.runner", "simulated")
SIDES = ("--inh-caps=-all", "--bounding-set=-all")
"""Makes root a user as others are: whom a folder's permissions keep out."""


def run(
    module: str,
    *arguments: str,
    before: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return how it ended, its standard error as it was."""
    return subprocess.run(
        [*before, sys.executable, "-m", module, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def check_refused(done: subprocess.CompletedProcess[str], place: Path, moved_by: str) -> None:
    """Expect exit code 2 and one sentence: the place, and what names another one."""
    assert done.returncode == USER_MISTAKE, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception" not in done.stderr, done.stderr
    told = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(told) <= 2, done.stderr
    assert told[0].startswith("error: "), done.stderr
    assert str(place) in told[0], done.stderr
    assert moved_by in told[-1], done.stderr
