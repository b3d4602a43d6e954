"""One long search that answers for all budgets, beside short ones for each."""

import json
import logging
from pathlib import Path

import pytest

from experiments.bench.command import main
from experiments.errors import ConfigError
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.truth.contest import Match, play
from experiments.truth.other_budgets import Asked, OtherBudgets, play_other_budgets
from experiments.truth.world import TruthWorld


def asked(method: str, shares: tuple[float, ...] = (0.3, 0.6)) -> Asked:
    return Asked(method=method, searched=0.45, shares=shares, long=4, short=2, measure="accuracy")


def test_short_searches_are_those_of_a_contest(world: TruthWorld) -> None:
    one, many = play_other_budgets(world, asked("bayes"), 7)
    alone = [
        play(Match(table=world.name, budget=share, method="bayes", evaluations=2, seed=7), world)
        for share in (0.3, 0.6)
    ]
    assert many == pytest.approx(sum(outcome.regret["accuracy"] for outcome in alone))
    by_budget = [play_other_budgets(world, asked("bayes", (share,)), 7)[0] for share in (0.3, 0.6)]
    assert one == pytest.approx(sum(by_budget))


def test_who_knows_nothing_of_other_budgets_is_refused(world: TruthWorld) -> None:
    with pytest.raises(ConfigError, match="answers by the posterior, found mckp"):
        play_other_budgets(world, asked("mckp"), 0)


def test_a_ratio_of_sums_and_its_interval() -> None:
    found = OtherBudgets(table="t", asked=asked("ppo"), one=(1.0, 2.0, 3.0), many=(1.0, 1.0, 2.0))
    low, high = found.interval
    assert found.ratio == 1.5
    assert 1.0 <= low < 1.5 < high <= 2.0


def test_a_bench_says_and_writes_it(
    tabulated: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    table, file = tabulated / "digits.npz", tmp_path / "budgets.json"
    usual = ("budgets", "--quiet", "--output", str(tmp_path / "runs"))
    flags = ("--seeds", "2", "--long", "4", "--short", "2", "--shares", "0.3", "0.6")
    arguments = [*usual, "--truth", str(table), *flags, "--player", "bayes", "--json", str(file)]
    assert main(arguments) == DONE
    assert "one search of 4" in capsys.readouterr().out
    shown = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not shown, "what a model is worth is said in a run, not in each search of a contest"
    document = json.loads(file.read_text())
    assert document["ratios"][0]["table"] == "digits"
    assert len(document["tables"][0]["one"]) == 2
    assert main([*usual]) == USER_MISTAKE
    assert "--truth: expected tables of truth, found none" in capsys.readouterr().err
    assert main([*usual, "--shares", "0.15"]) == USER_MISTAKE
    assert "other budgets than the searched one" in capsys.readouterr().err
