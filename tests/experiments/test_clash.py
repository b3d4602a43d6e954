"""A user's own env.py beside a command or a script: one sentence, and nothing else."""

from pathlib import Path

import pytest

from experiments.clash import SIBLINGS
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.experiments.started import started

ROOT = Path(__file__).parents[2]
SCRIPT = "import bitalloc"


@pytest.mark.parametrize("name", SIBLINGS)
def test_a_command_says_which_file_is_in_the_way(name: str, tmp_path: Path) -> None:
    other = tmp_path / f"{name}.py"
    other.write_text("raise SystemExit('it was imported')")
    done = started(tmp_path, "-m", "experiments.run", "--help")
    assert done.returncode == USER_MISTAKE
    sentence, hint = done.stderr.splitlines()
    assert sentence == f"error: expected BitAlloc's package {name!r}, found {other} in its place"
    assert hint.startswith("hint: rename it, or start from another folder")


def test_a_package_of_that_name_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "__init__.py").touch()
    done = started(tmp_path, "-m", "bitalloc.command", "run", "--help")
    assert done.returncode == USER_MISTAKE
    assert done.stderr.startswith("error: expected BitAlloc's package 'hardware', found ")


@pytest.mark.parametrize("name", [*SIBLINGS, "experiments"])
def test_a_script_gets_an_error_of_python_with_the_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").touch()
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = started(tmp_path, "mine.py")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: expected BitAlloc's package {name!r}, found ")
    assert "rename it, or start from another folder" in last


def test_folders_without_code_are_in_nobodys_way(tmp_path: Path) -> None:
    for name in (*SIBLINGS, "experiments"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = started(tmp_path, "mine.py")
    assert (done.returncode, done.stderr) == (DONE, "")
