"""Places that this user may not write: a sentence that names the place and what moves it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.commands import SIDES, SIMULATED, SMALL, check_refused, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLACES = {
    "--output": SIMULATED,
    "--store": SIMULATED,
    "XDG_CACHE_HOME": SIMULATED,
    "--target.kernel-cache": (*SMALL, "--target.runner", "local"),
}


@pytest.fixture
def as_others() -> tuple[str, ...]:
    """What starts a command that permissions hold for; root's do not."""
    if os.getuid():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root needs setpriv to give its powers away")
    done = subprocess.run([setpriv, *SIDES, "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("setpriv may not give root's powers away here")
    return (setpriv, *SIDES)


@pytest.mark.parametrize("moved_by", list(PLACES))
def test_a_closed_place(tmp_path: Path, as_others: tuple[str, ...], moved_by: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    arguments = list(PLACES[moved_by])
    variables = {}
    if moved_by.startswith("--"):
        file = closed / "store.sqlite" if moved_by == "--store" else closed
        arguments += [moved_by, str(file)]
    else:
        variables[moved_by] = str(closed)
    if moved_by != "--output":
        arguments += ["--output", str(tmp_path / "runs")]
    done = run("experiments.run", *arguments, before=as_others, variables=variables)
    check_refused(done, closed, moved_by)
