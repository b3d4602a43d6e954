"""Help: a screen at first, a section at a time on demand."""

import pytest

from experiments import run as run_module
from experiments.report.command import main as report_main
from experiments.terminal.exit_codes import USER_MISTAKE


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_module.main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_first_level_fits_a_screen_and_names_every_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys, "--help")
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 90
    text = "\n".join(lines)
    for name in ("task", "target", "protocol", "energy", "budget", "env", "final", "ppo", "amed"):
        assert name in text
    assert "--resume RUN" in text
    about = " ".join(text.partition("sections:")[2].split())
    assert (
        "The longer retraining of python -m experiments.evaluate, from the float checkpoint"
        in about
    )
    assert "--energy.meter" not in text


def test_a_section_is_shown_with_those_inside_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(shown(capsys, "--help", "env"))
    assert "--env.bit-choices" in text
    assert "--env.finetune.steps" in text
    assert "--energy.meter" not in text
    assert "--env.bit-choices" not in "\n".join(shown(capsys, "--help", "env.finetune"))
    whole = shown(capsys, "--help", "all")
    assert len(whole) > 400


def test_a_section_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_module.main(["--help", "envy"]) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert "--help: expected one of task, target, protocol" in printed
    assert "found 'envy'" in printed


def test_a_short_help_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report_main(["--help"])
    text = capsys.readouterr().out
    assert "--output FILE" in text
    assert "sections:" not in text
