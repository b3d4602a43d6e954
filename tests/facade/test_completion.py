"""bitalloc completion: real shells read its scripts, and complete what they should."""

import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bitalloc.command import COMMANDS, main
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

# Each defines what a shell has only at its prompt, then prints the candidates, one a line.
_ZSH = """
compdef() {{ }}; _files() {{ print FILES }}; _describe() {{ print -l -- "${{(@P)2}}" }}
source {script}; words=({words}); CURRENT=$#words; _bitalloc
"""
_BASH = """
source {script}; COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _bitalloc
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
_FISH = "source {script}; complete -C {line}"
Complete = Callable[..., Sequence[str]]


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    return name


@pytest.fixture
def complete(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Complete:
    """Return what completes a command line, word for word; the last word is unfinished."""
    assert main(["completion", shell]) == DONE
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "runs").mkdir()

    def candidates(*words: str) -> Sequence[str]:
        text = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell].format(
            script=script, words=shlex.join(words), line=shlex.quote(" ".join(words))
        )
        done = subprocess.run(
            [shell, "-c", text],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert not done.stderr
        first_column = {"bash": "\n", "zsh": ":", "fish": "\t"}[shell]
        return [line.split(first_column)[0] for line in done.stdout.splitlines() if line]

    return candidates


def test_names_flags_and_values_are_completed(complete: Complete) -> None:
    assert set(complete("bitalloc", "")) == {*COMMANDS}
    assert complete("bitalloc", "ru") == ["run"]
    assert complete("bitalloc", "run", "--metho") == ["--method"]
    assert set(complete("bitalloc", "run", "--env.finetune.s")) == {
        "--env.finetune.steps",
        "--env.finetune.step-learning-rate",
        "--env.finetune.scale-images",
    }
    assert complete("bitalloc", "run", "--method", "un") == ["uniform"]
    assert complete("bitalloc", "run", "--seed", "1", "--target.runner", "s") == ["simulated"]
    assert complete("bitalloc", "compare", "--methods", "uniform", "mck") == ["mckp"]
    assert complete("bitalloc", "bench", "roun") == ["rounding"]
    assert complete("bitalloc", "bench", "runtime", "--netw") == ["--networks"]
    assert complete("bitalloc", "completion", "f") == ["fish"]


def test_a_number_is_left_to_whoever_types(complete: Complete) -> None:
    assert not complete("bitalloc", "run", "--seed", "")


def test_folders_are_completed_by_the_shell(complete: Complete, shell: str) -> None:
    # bash does so at a prompt alone, by its own default, where the script has nothing to say.
    expected = {"bash": [], "zsh": ["FILES"], "fish": ["runs/"]}[shell]
    assert complete("bitalloc", "report", "ru") == expected
    assert complete("bitalloc", "run", "--resume", "ru") == expected


def test_a_shell_that_is_not_known_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == main(["completion"]) == USER_MISTAKE
    said = capsys.readouterr().err
    assert "'tcsh' for argument 'bash|zsh|fish': expected bash, zsh, fish" in said
    assert "bash|zsh|fish: expected a value, found none" in said
