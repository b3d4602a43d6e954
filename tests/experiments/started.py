"""A command or script of the user's, started in a folder of theirs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter there, to which the project is no more than a path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
