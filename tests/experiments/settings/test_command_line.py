"""Every command is read in one way: its help, its mistakes and its former flags."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from experiments import evaluate, measure, run
from experiments.bench import command as bench
from experiments.boards import command as boards
from experiments.compare import command as compare
from experiments.export import command as export
from experiments.report import command as report
from experiments.settings.command_line import run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.staircase import command as staircase
from experiments.tabulate import command as tabulate
from experiments.terminal.exit_codes import DONE, INTERRUPTED, USER_MISTAKE
from tests.experiments.started import started

Main = Callable[[Sequence[str]], int]

COMMANDS: dict[str, tuple[Main, list[str], str]] = {
    "run": (run.main, [], "--resume"),
    "evaluate": (evaluate.main, ["runs/latest"], "--no-tune"),
    "report": (report.main, [], "--output"),
    "export": (export.main, ["runs/latest"], "--onnx-opset"),
    "compare": (compare.main, [], "--budgets"),
    "measure": (measure.main, [], "--allocation"),
    "staircase": (staircase.main, [], "--all-pairs"),
    "tabulate": (tabulate.main, [], "--part"),
    "bench runtime": (bench.main, ["runtime"], "--engines"),
    "bench turnaround": (bench.main, ["turnaround"], "--network"),
    "bench table": (bench.main, ["table"], "--network"),
    "bench rounding": (bench.main, ["rounding"], "--json"),
    "bench noise": (bench.main, ["noise"], "--pairs"),
    "bench mca": (bench.main, ["mca"], "--layers"),
    "bench specialisation": (bench.main, ["specialisation"], "--views"),
    "bench budgets": (bench.main, ["budgets"], "--player"),
    "bench workers": (bench.main, ["workers"], "--rounds"),
    "bench loader": (bench.main, ["loader"], "--task.cache-mb"),
    "bench scale": (bench.main, ["scale"], "--simulate"),
    "bench markdown": (bench.main, ["markdown", "runtime.json"], "--help"),
    "boards list": (boards.main, ["list"], "--tracker"),
    "boards doctor": (boards.main, ["doctor"], "--config"),
}
CONFIGURED = set(COMMANDS) - {"evaluate", "report", "export", "bench markdown", "boards list"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_what_a_command_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main, words, flag = COMMANDS[name]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help", "all"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: python -m experiments.{name}" in shown
    assert flag in shown
    assert ("--target.runner" in shown) == (name in CONFIGURED)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main, words, _ = COMMANDS[name]
    assert main([*words, "--nonsense=1"]) == USER_MISTAKE
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "error: unknown key nonsense, in the command line"
    assert told[1:] == [f"hint: python -m experiments.{name} --help all lists every flag"]


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("evaluate", [], "RUN: expected a value, found none"),
        ("export", ["runs/latest"], "--output: expected a value, found none"),
        ("report", [], "expected the folder of a run, found none"),
        ("compare", ["--seeds"], "--seeds: expected a value, found none"),
        ("compare", ["--seeds", "many"], "--seeds: invalid literal for int()"),
        ("staircase", ["--shapes", "tiny"], "invalid choice 'tiny' for argument '--shapes'"),
        ("run", ["--resume"], "--resume: expected the folder of a run, found nothing"),
        ("compare", ["--task", "digits"], "--task is now --task.name"),
    ],
)
def test_other_mistakes(
    name: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert COMMANDS[name][0](arguments) == USER_MISTAKE
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("word", [b"\xff/run", b"--output=\xff", b"--\xff"])
def test_words_that_are_no_utf_8_are_one_sentence(
    name: str, word: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    main, words, _ = COMMANDS[name]
    assert main([*words, os.fsdecode(word)]) == USER_MISTAKE
    assert capsys.readouterr().err.splitlines() == [
        f"error: expected a command line in UTF-8, found {str(word)[1:]} in it",
        "hint: name files and folders in UTF-8: records of them could not be written otherwise",
    ]


def test_a_name_that_is_no_utf_8_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    typed = (
        "-m",
        "bitalloc.command",
        "run",
        "--task.model",
        "a:b",
        "--output",
        os.fsdecode(b"\xff"),
    )
    done = started(tmp_path, *typed)
    assert done.returncode == USER_MISTAKE
    assert done.stderr.startswith("error: expected a command line in UTF-8, found '\\xff' in it")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["runtimes"]])
def test_a_missing_command_names_those_there_are(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(arguments) == USER_MISTAKE
    found = arguments[0] if arguments else "nothing"
    known = "turnaround, table, rounding, noise, runtime, mca, budgets, specialisation"
    known += ", workers, loader, scale, markdown"
    told = f"expected one of {known}, found {found}"
    assert told in capsys.readouterr().err


def test_help_without_a_command_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.main(["--help"])
    assert stop.value.code == 0
    assert "worth: test accuracy" in " ".join(capsys.readouterr().out.replace("│", "").split())


def test_termination_is_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work(options: ConfiguredOptions) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return DONE

    command = configured_command(ConfiguredOptions, work)
    assert run_typed("experiments.nothing", command, []) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before
