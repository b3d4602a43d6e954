"""Bars over sums of budgets, and ratios: right answers are worked out by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import ConfigError
from experiments.truth.claim import Bar, Claim, read_claim
from experiments.truth.contest import Match
from experiments.truth.verdicts import Verdict
from quant.records.json_form import json_text, to_plain
from tests.experiments.truth.played import verdict_on
from tools.methods_markdown import bar_lines

TIGHT, WIDE = 0.05, 0.3


def became(bar: Bar, regret: Callable[[Match], float]) -> Verdict:
    """Return the verdict on a bar in six seeds at two budgets of one table."""
    claim = Claim(
        tables=(Path("one.npz"),),
        methods=("bayes", "mckp"),
        budgets=(TIGHT, WIDE),
        evaluations=(4, 8),
        seeds=6,
        fewer_seeds={},
        bars=(bar,),
    )
    return verdict_on(claim, regret)


def noisy(match: Match) -> float:
    """1 more than MCKP's at the tight budget, 2 less at the wide one, 1 less in all.

    What a seed adds to the one budget it takes off the other: only sums can tell.
    """
    regret = 10.0 * match.seed
    if match.method == "mckp":
        return regret
    luck = 3.0 if match.seed % 2 else -3.0
    return regret + (1.0 + luck if match.budget == TIGHT else -2.0 - luck)


def test_a_sum_over_budgets_shows_what_no_budget_does() -> None:
    alone = became(Bar(better="bayes", than="mckp", at=(8,)), noisy)
    assert [cell.held for cell in alone.cells] == [False, False]

    summed = became(Bar(better="bayes", than="mckp", at=(4, 8), summed=True), noisy)
    assert [(cell.budget, cell.evaluations, cell.held) for cell in summed.cells] == [
        (None, 4, True),
        (None, 8, True),
    ]
    for cell in summed.cells:
        found = cell.difference
        assert [found.iqm, found.low, found.high, found.mean] == pytest.approx([-1.0] * 4)
        assert cell.seeds == 6
    assert summed.sentence == (
        "held: bayes at 4 8 less than mckp plus 0 (accuracy, summed over the budgets) in 2 of 2 "
        "cells; the plain means are in 2"
    )
    # The margin is of the sum, too.
    assert not became(
        Bar(better="bayes", than="mckp", at=(8,), margin=-1.5, summed=True), noisy
    ).held


def test_a_sum_is_shown_with_its_interval() -> None:
    verdict = became(Bar(better="bayes", than="mckp", at=(4, 8), summed=True), noisy)
    assert list(bar_lines({"verdicts": [to_plain(verdict)]}))[2:] == [
        "| `bayes` | `mckp` | 4, 8 | 0 | accuracy, summed over budgets "
        "| 2 of 2: -1.00 [-1.00, -1.00]; -1.00 [-1.00, -1.00] | held |"
    ]


def five_quarters(match: Match) -> float:
    """MCKP loses nothing at the tight budget and 4 at the wide one; bayes 1 and 4."""
    seed = 1.0 + match.seed
    if match.budget == TIGHT:
        return 0.0 if match.method == "mckp" else seed
    return 4.0 * seed


@pytest.mark.parametrize(("ratio", "held"), [(1.3, True), (1.2, False)])
def test_a_ratio_is_of_the_sums(ratio: float, held: bool) -> None:
    bar = Bar(better="bayes", than="mckp", at=(8,), summed=True, ratio=ratio)
    verdict = became(bar, five_quarters)
    (cell,) = verdict.cells
    assert cell.ratio is not None
    found = [cell.ratio.iqm, cell.ratio.low, cell.ratio.high]
    assert found == pytest.approx([1.25] * 3)
    assert (cell.held, verdict.held) == (held, held)
    assert f"bayes at 8 at most {ratio:g} times mckp (accuracy, summed" in verdict.sentence
    assert f"| at most {ratio:g} times |" in list(bar_lines({"verdicts": [to_plain(verdict)]}))[2]


def test_no_regret_has_no_multiple() -> None:
    verdict = became(Bar(better="bayes", than="mckp", at=(8,), ratio=1.25), five_quarters)
    assert [cell.held for cell in verdict.cells] == [False, True]
    assert '"iqm":null' in json_text(verdict).replace(" ", "")


@pytest.mark.parametrize(
    ("bar", "sentence"),
    [
        ("at: [8], summed: true, least: 2", "least of 0 to 1 cells"),
        ("at: [8], ratio: 0", "expected a ratio above 0"),
        ("at: [8], ratio: 1.3, margin: 0.1", "no margin with it, found 1.3 and 0.1"),
    ],
)
def test_a_bar_that_says_nothing_is_refused(tmp_path: Path, bar: str, sentence: str) -> None:
    file = tmp_path / "claim.yaml"
    file.write_text(
        "tables: [one.npz]\nmethods: [mckp, bayes]\nbudgets: [0.05, 0.3]\nevaluations: [8]\n"
        f"seeds: 6\nbars: [{{better: bayes, than: mckp, {bar}}}]\n"
    )
    with pytest.raises(ConfigError, match=sentence):
        read_claim(file)
