"""The repository itself: names that tools like to ignore are tracked."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_git_tracks_env_which_ready_made_ignore_files_leave_out() -> None:
    tracked = git("ls-files", "env").stdout.split()
    assert "env/__init__.py" in tracked
    assert git("check-ignore", "env/new_file.py").returncode == 1
    assert git("check-ignore", "runs/new_run").returncode == 0
