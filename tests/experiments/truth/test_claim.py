"""Claims: read as data, refused in one sentence, and judged by paired intervals."""

from pathlib import Path

import pytest

from agents.bayes.config import BayesConfig
from experiments.errors import ConfigError
from experiments.settings.run_config import RunConfig
from experiments.truth.claim import CLAIMED_FROM, Bar, Claim, read_claim
from experiments.truth.contest import Match, Outcome, matches
from experiments.truth.entrant import entrant_of
from experiments.truth.verdicts import verdicts
from tests.experiments.truth.played import verdict_on

CLAIM = """
tables: [one.npz, two.npz]
methods: [mckp, mckp+posterior+race, bayes-race]
budgets: [0.05, 0.3]
evaluations: [0, 8]
seeds: 6
fewer_seeds: {mckp: 3}
bars:
- {better: bayes-race, than: mckp, at: [8]}
- {better: bayes-race, than: mckp, at: [0, 8], margin: 0.5, tables: [one], least: 3}
"""


def written(tmp_path: Path, text: str = CLAIM) -> Path:
    file = tmp_path / "claim.yaml"
    file.write_text(text)
    return file


def test_a_claim_says_who_plays_how_often(tmp_path: Path) -> None:
    claim = read_claim(written(tmp_path))
    assert claim.tables == (tmp_path / "one.npz", tmp_path / "two.npz")
    played = list(matches(claim))
    assert len(played) == len(set(played)) == 2 * 2 * 2 * (6 + 6 + 3)
    assert {match.seed for match in played if match.method == "mckp"} == {1000, 1001, 1002}
    # What somebody tuned on with --truth, whose seeds begin at 0, is never claimed.
    assert min(match.seed for match in played) == CLAIMED_FROM


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("seeds: 6", "seeds: 0", "seeds: expected at least 1, found 0"),
        ("[mckp,", "[mckq,", "expected a method of .* found 'mckq'"),
        ("bayes-race]", "bayes-rice]", r"expected \+NAME or -NAME with posterior, race"),
        ("one.npz, two", "one.npz, b/one", "tables: expected files of different names"),
        ("[0.05, 0.3]", "[0.05, 3]", "budgets: expected shares between 0 and 1"),
        ("than: mckp, at: [8]}", "than: hawq, at: [8]}", "bars: expected methods that play"),
        ("margin: 0.5", "margim: 0.5", "margim"),
        ("[0.05, 0.3]", "[0, 0.3]", "budgets: expected shares between 0 and 1"),
        ("{mckp: 3}", "{mcpk: 3}", "fewer_seeds: expected methods that play and 1 to 6"),
        ("{mckp: 3}", "{mckp: 7}", "fewer_seeds: expected methods that play and 1 to 6"),
        ("{mckp: 3}", "{mckp: 1}", "bars: expected at least 2 seeds"),
        ("at: [8]}", "at: [9]}", "bars: expected limits that play, found 9"),
        ("tables: [one],", "tables: [three],", "bars: expected tables that play, found three"),
        # Bars that hold whatever was played.
        ("at: [8]}", "at: []}", "bars: expected different limits in at"),
        ("least: 3", "least: -1", "least of 0 to 4 cells"),
        ("tables:", "tabels:", "expected a claim in"),
    ],
)
def test_another_claim_is_refused(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_claim(written(tmp_path, CLAIM.replace(before, after)))


def test_a_method_that_shares_nothing_has_no_switch() -> None:
    with pytest.raises(ConfigError, match="uniform has nothing that can be switched"):
        entrant_of("uniform+race")


def test_switches_are_settings() -> None:
    config = RunConfig()
    assert entrant_of("bayes").settings(config) == BayesConfig()
    assert entrant_of("bayes-race-posterior").settings(config) == BayesConfig(
        posterior=False, race=0
    )
    switched = entrant_of("mckp+posterior+race").settings(config)
    assert (switched.posterior, switched.race) == (True, 3)
    assert entrant_of("uniform").settings(config) is None


def test_bars_hold_where_the_paired_interval_ends_below_the_margin(tmp_path: Path) -> None:
    claim = read_claim(written(tmp_path))

    def outcome(match: Match) -> Outcome:
        # What a seed makes hard for one, it makes hard for the other: only pairs can tell.
        regret = 10.0 * (match.seed - CLAIMED_FROM) + (0.3 if match.method == "bayes-race" else 0.0)
        if match.table == "two" and match.method == "bayes-race":
            regret -= 1.0
        return Outcome(
            match=match,
            answer=(2,),
            regret={"accuracy": regret, "log_loss": 0.0, "reward": 0.0},
            error={"accuracy": 0.0, "log_loss": 0.0, "reward": 0.0},
            used=1,
            again=0,
            training_samples=0,
            fell_back=False,
        )

    first, second = verdicts(claim, {match: outcome(match) for match in matches(claim)})
    assert [(cell.table, cell.held) for cell in first.cells] == [
        *[("one", False)] * 2,
        *[("two", True)] * 2,
    ]
    assert not first.held
    assert all(cell.seeds == 3 for cell in first.cells)
    assert first.sentence == (
        "missed: bayes-race at 8 less than mckp plus 0 (accuracy) in 2 of 4 cells; "
        "the plain means are in 2"
    )
    assert second.held  # 0.3 worse, and 0.5 is allowed
    assert [cell.evaluations for cell in second.cells] == [0, 8, 0, 8]


def test_a_bar_may_compare_two_limits(tmp_path: Path) -> None:
    claim = Claim(
        tables=(tmp_path / "one.npz",),
        methods=("bayes", "mckp"),
        budgets=(0.3,),
        evaluations=(8, 24),
        seeds=2,
        fewer_seeds={},
        bars=(Bar(better="bayes", than="mckp", at=(8,), than_at=24),),
    )
    verdict = verdict_on(claim, lambda match: float(match.evaluations))
    assert verdict.held
    assert verdict.cells[0].difference.iqm == -16.0
