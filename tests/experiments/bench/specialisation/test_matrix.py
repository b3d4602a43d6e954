"""The matrix says what it costs to deploy the wrong allocation, and where numbers come from."""

import io

import pytest
from rich.console import Console

from experiments.bench.specialisation.results import Specialisation
from experiments.bench.specialisation.retrained import Retrained
from experiments.bench.specialisation.table import draw_specialisation
from quant.objective.metric import ACCURACY, Metric
from quant.objective.paired import PairedDifference
from quant.objective.scores import Score
from quant.records.json_form import to_plain
from tests.experiments.bench.specialisation.matrices import matrix

BITS = {"avx2": 4, "avx512-vnni": 3, "rpi5": 8}
TIMES = [[4.0, 3.3, 6.6], [4.4, 3.0, 5.5], [6.0, 3.03, 5.0]]
LOST = [0.01, 0.02, 0.0]


def drawn(found: Specialisation) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(draw_specialisation(found))
    return console.export_text()


def words(text: str) -> str:
    return " ".join(text.split())


def retrained(seed: int, value: float, all_8: float, error: float) -> Retrained:
    def score(value: float) -> Score:
        return Score(metric=ACCURACY, value=value, standard_error=0.01, count=100, loss=1.0)

    return Retrained(
        seed=seed,
        score=score(value),
        all_8=score(all_8),
        beside_all_8=PairedDifference(
            score=value - all_8,
            score_se=error,
            score_unpaired_se=0.014,
            loss=0.0,
            loss_se=0.0,
            loss_unpaired_se=0.0,
        ),
    )


def test_the_sentence_has_the_worst_the_median_and_how_many_keep_the_budget() -> None:
    # Beyond the budget by 10, 32, 10, 10, 50 and 1 %; the last is what timings repeat to.
    assert matrix(BITS, TIMES, LOST).sentence == (
        "On a view that it was not made for, an allocation takes 10.0 % more time than the budget "
        "there allows in the median, 50.0 % more at worst (rpi5's on avx2); 1 of 6 keeps the "
        "budget, and it loses no more than the view's own."
    )


def test_what_keeps_the_budget_may_lose_more() -> None:
    found = matrix(BITS, TIMES, LOST, limits_ms=[4.0, 3.3, 7.0])
    assert (
        "2.9 % less time than the budget there allows in the median, 50.0 % more at worst"
        in words(found.sentence)
    )
    assert found.sentence.endswith(
        "4 of 6 keep the budget, and these lose 0.00 points more than the view's own in the "
        "median, 2.00 points more at worst (predicted)."
    )


def test_nothing_lost_is_said_plainly() -> None:
    same = matrix({"avx2": 4, "rpi5": 4}, [[4.0, 5.0], [4.0, 5.0]], [0.01, 0.01])
    assert same.sentence == (
        "All 2 views have the same best allocation: specialising is worth nothing."
    )
    free = matrix({"avx2": 4, "rpi5": 8}, [[4.0, 5.0], [4.0, 5.0]], [0.0, 0.0])
    assert free.sentence.endswith(
        "2 of 2 keep the budget, and none of these loses more than the view's own: nothing is lost."
    )
    lost = matrix({"avx2": 4, "rpi5": 8}, [[4.0, 6.0], [6.0, 5.0]], [0.0, 0.0])
    assert lost.sentence.endswith("; none of 2 keeps the budget.")
    third = matrix({"a": 4, "b": 4, "c": 8}, [[4.0] * 3] * 3, [0.01, 0.01, 0.0])
    assert "6 of 6 keep the budget (2 by being the view's own best as well), and" in third.sentence


def test_of_what_less_is_better_of_a_share_is_lost() -> None:
    error = Metric(name="mae", unit="", more_is_better=False)
    found = matrix({"a": 4, "b": 8}, [[4.0, 5.0], [4.0, 5.0]], [0.0953, 0.0], metric=error)
    assert "10.00 % of mae more at worst" in found.sentence
    assert "lost, % of mae (predicted)" in words(drawn(found))


def test_the_table_shows_ratios_and_where_they_come_from() -> None:
    found = matrix(
        BITS, TIMES, LOST, sources={"rpi5": "modelled"}, left_out="rpi4 is left out: no tools"
    )
    text = drawn(found)
    assert "on rpi5 (modelled)" in text
    assert "nothing ran" in text
    (row,) = [line for line in text.splitlines() if line.split()[:2] == ["avx2", "1.00"]]
    assert words(row) == "avx2 1.00 4 1.00x 3.3 1.10x over* 6.6 1.32x over"
    (first,) = [line for line in text.splitlines() if line.split()[:1] == ["stem"]]
    assert first.split() == ["stem", "4/8", "3/8", "8/8"]
    assert "(all-8) 0.00 9 2.25x 9 3.00x 9 1.80x" in words(text)
    assert "(budget) 4 1.00x 3 1.00x 5 1.00x" in words(text)
    assert "rpi5: no uniform allocation saves more than 1.0% of all-8's time there" in words(text)
    assert "rpi4 is left out: no tools." in text
    assert words(text).endswith(found.sentence)


def test_retrained_losses_stand_with_their_error_beside_what_was_predicted() -> None:
    seeds = (retrained(0, 0.90, 0.94, 0.003), retrained(1, 0.92, 0.94, 0.003))
    found = matrix(BITS, TIMES, LOST, retrained=dict.fromkeys(BITS, seeds))
    # Images .3, the same for both seeds; seeds sqrt(.0002 / 2) = 1 point.
    assert "3.00 ± 1.04 (predicted 1.00)" in drawn(found)
    assert "(retrained)" in drawn(found)
    document = to_plain(found)
    assert document["losses_are"] == "retrained"
    assert document["rows"][0]["retrained"][1]["seed"] == 1


def test_the_document_says_what_follows_from_the_figures() -> None:
    found = matrix(BITS, TIMES, LOST)
    document = to_plain(found)
    assert document["specialisation_schema"] == 1
    assert document["sentence"] == found.sentence
    (cell,) = [
        one
        for one in document["cells"]
        if (one["made_for"], one["deployed_on"]) == ("avx2", "rpi5")
    ]
    assert cell["ratio"] == pytest.approx(1.32)
    assert cell["beyond"] == pytest.approx(0.32)
    assert cell["keeps_budget"] is False
    assert cell["stable"] is True
    assert document["rows"][0]["table"]["unit"] == "microseconds"
