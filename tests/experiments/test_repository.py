"""The repository itself: names that tools like to ignore are tracked."""

import re
import subprocess
import tomllib
from fnmatch import fnmatch
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


NAMED = re.compile(
    r"`((?:bitalloc|quant|hardware|env|agents|experiments|tests|tools|docs|examples)/[\w./]*)[`:]"
)
"""A path in a document, alone in backticks or with what is in it behind a colon."""


def test_documents_name_files_that_are_there() -> None:
    for document in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    ):
        named = set(NAMED.findall(document.read_text(encoding="utf-8"))) - {"agents/mine/mine.py"}
        missing = sorted(path for path in named if not (ROOT / path).exists())
        assert not missing, f"{document.name}: {missing}"


def test_rooms_hold_sixteen_files_at_most() -> None:
    """More files than that, and nobody finds the one by looking."""
    for top in ("quant", "hardware", "env", "agents", "experiments", "tests"):
        for folder in (ROOT / top, *(ROOT / top).rglob("*/")):
            files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
            assert len(files) <= 16, folder.relative_to(ROOT)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_a_wheel_would_have_every_file_that_is_no_python() -> None:
    """A page without its templates ends every run of an installed wheel in a traceback."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = {
        str(Path(*package.split(".")) / pattern)
        for package, names in settings["package-data"].items()
        if package != "*"
        for pattern in names
    } | {f"*/{name}" for name in settings["package-data"]["*"]}
    tracked = git("ls-files", "quant", "hardware", "env", "agents", "experiments").stdout.split()
    data = [name for name in tracked if not name.endswith(".py")]
    assert data
    assert not [name for name in data if not any(fnmatch(name, p) for p in patterns)]
