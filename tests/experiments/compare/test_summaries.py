"""What the rows of a comparison come to: hypervolumes, documents, tables, figures."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments.charts.draw import draw_chart, png_bytes
from experiments.compare.comparison import Comparison
from experiments.compare.figures import CHARTS, fronts_chart
from experiments.compare.hypervolume import estimate_hypervolume, hypervolume
from experiments.compare.plan import Plan
from experiments.compare.rows import Row, append_row, read_rows, rows_csv
from experiments.compare.tables import draw_answers, draw_costs, draw_pairs
from experiments.errors import ConfigError, RunFolderError
from quant.objective.metric import ACCURACY
from quant.records.json_form import from_plain, to_plain
from tests.experiments.compare.made_up import answer, comparison, row


def test_the_hypervolume_of_points_with_a_known_area() -> None:
    assert hypervolume([(0.9, 0.5)], chance=0.1) == pytest.approx(0.4)
    # The second adds (0.95 - 0.9) * (1 - 0.75); the third is beaten by both.
    points = [(0.95, 0.75), (0.9, 0.5), (0.85, 0.8)]
    assert hypervolume(points, chance=0.1) == pytest.approx(0.4 + 0.05 * 0.25)
    assert hypervolume([(0.99, 1.2), (0.05, 0.5)], chance=0.1) == 0.0
    assert hypervolume([], chance=0.1) == 0.0


def test_the_hypervolume_is_the_share_of_random_points_that_are_beaten() -> None:
    rng = np.random.default_rng(0)
    points = [tuple(map(float, rng.random(2))) for _ in range(6)]
    samples = rng.random((200_000, 2))
    beaten = np.zeros(len(samples), dtype=bool)
    for accuracy, ratio in points:
        beaten |= (samples[:, 0] <= accuracy) & (samples[:, 1] >= ratio)
    found = hypervolume([(a, r) for a, r in points], chance=0.0)
    assert found == pytest.approx(beaten.mean(), abs=0.005)


def test_the_interval_holds_the_mean_and_shrinks_with_the_test_set() -> None:
    answers = {error: replace(answer(0.9, 0.5), test_score_se=error) for error in (0.03, 0.003)}
    small, large = (
        estimate_hypervolume([row("ppo", seed, 0.1, one) for seed in range(3)], 2.0, 0.1)
        for one in answers.values()
    )
    for estimate in (small, large):
        assert estimate.low < estimate.mean < estimate.high
        assert estimate.mean == pytest.approx(0.4)
        assert estimate.seeds == 3
    assert large.high - large.low < (small.high - small.low) / 5
    # Three seeds of one answer each: their mean's error is known.
    expected = 2 * 1.96 * 0.003 / np.sqrt(3) * 0.5
    assert large.high - large.low == pytest.approx(expected, rel=0.1)


def test_a_seed_without_an_answer_counts_as_no_area() -> None:
    rows = [row("uniform", 0, 0.1, answer(0.9, 0.5)), row("uniform", 1, 0.1, None)]
    assert estimate_hypervolume(rows, 2.0, 0.1).mean == pytest.approx(0.2)


def test_the_document_is_read_back_equal() -> None:
    found = comparison()
    document = json.loads(json.dumps(to_plain(found)))
    assert from_plain(Comparison, document) == found
    assert set(document["rows"][0]) >= {
        *("method", "seed", "budget", "test_score", "latency_ms"),
        *("model_bytes", "evaluations", "wall_s"),
    }
    assert document["rows"][0]["test_score"] is None  # uniform at the small budget
    areas = document["hypervolume"]
    assert areas["ppo"]["mean"] > areas["random"]["mean"] > areas["uniform"]["mean"]


def test_methods_are_held_against_each_other_on_the_same_images() -> None:
    found = comparison()
    pairs = {(one.method, one.than, one.budget): one for one in found.pairs()}
    assert set(pairs) == {
        *(("ppo", "random", 0.1), ("ppo", "random", 0.7)),
        *(("ppo", "uniform", 0.7), ("random", "uniform", 0.7)),  # uniform has no other answer
    }
    near, far = pairs["ppo", "random", 0.1], pairs["ppo", "uniform", 0.7]
    assert near.gain == pytest.approx(0.05)
    assert far.gain == pytest.approx(0.105)
    assert (far.gain_se, far.seeds) == (0.02, 2)
    # Of two methods it does not matter which was finished first, nor of a metric what is more.
    turned = found.pair("random", "ppo", 0.1)
    assert turned is not None
    assert turned.gain == pytest.approx(-0.05)
    less = replace(ACCURACY, name="error", unit="", more_is_better=False)
    rows = [
        one if one.answer is None else replace(one, answer=replace(one.answer, metric=less))
        for one in found.rows
    ]
    worse = replace(found, rows=tuple(rows), uniform=()).pair("ppo", "random", 0.1)
    assert worse is not None
    assert worse.gain == pytest.approx(-0.05)


def test_one_slow_timing_of_all_8_makes_no_answer_fast() -> None:
    usual = comparison()
    first, second, *others = usual.rows
    assert second.answer is not None
    slow = replace(second, answer=replace(second.answer, all_8_ms=4.0))
    found = replace(usual, rows=(first, slow, *others))
    assert found.all_8_ms == 2.0
    assert found.hypervolume(slow.method) == usual.hypervolume(slow.method)
    assert found.ratio(slow.method, slow.budget) == usual.ratio(slow.method, slow.budget)


def test_rows_are_kept_and_a_torn_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = comparison().rows
    for one in rows:
        append_row(path, one)
    with path.open("a") as file:
        file.write('{"method": "pp')
    assert read_rows(path, Row) == rows
    assert path.read_text().count("\n") == len(rows)
    assert read_rows(path, Row) == rows
    path.write_text('{"method": "ppo"}\n')
    with pytest.raises(RunFolderError, match="in line 1 of"):
        read_rows(path, Row)


def test_the_csv_has_one_line_a_row_and_the_bits() -> None:
    found = list(csv.DictReader(io.StringIO(rows_csv(comparison().rows, 2.0))))
    assert len(found) == len(comparison().rows)
    assert (found[0]["bits"], found[0]["error"]) == ("", "nothing inside")
    assert found[1]["bits"] == "4/8"
    assert float(found[1]["latency_ratio"]) == pytest.approx(0.55)


def test_tables_and_figures_say_where_the_times_come_from() -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(draw_answers(comparison()))
    console.print(draw_costs(comparison()))
    console.print(draw_pairs(comparison()))
    shown = console.export_text()
    assert "simulated" in shown
    assert "90.50 ± 0.71 % at 0.550" in shown
    assert "+10.50 ± 2.00" in shown  # ppo's gain on uniform, which comes first
    assert "none" in shown  # uniform at the small budget
    for chart in CHARTS.values():
        png, width, height = png_bytes(draw_chart(chart(comparison())))
        assert png.startswith(b"\x89PNG")
        assert width > 300
        assert height > 100
    axes = draw_chart(fronts_chart(comparison())).axes[0]
    assert "simulated" in axes.get_xlabel()
    assert {text.get_text() for text in axes.texts} == {"uniform 8", "uniform 4"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"methods": ("ppo", "amde")}, "--methods: expected some of"),
        ({"methods": ("ppo", "ppo")}, "--methods: expected different ones, found ppo ppo"),
        ({"budgets": (35.0,)}, "--budgets: expected shares between 0 and 1, found 35"),
        ({"seeds": 0}, "--seeds: expected at least 1, found 0"),
        ({"evaluations": 0}, "--evaluations: expected at least 1, found 0"),
    ],
)
def test_a_plan_that_cannot_be_done_is_refused(change: dict[str, object], expected: str) -> None:
    good = {"methods": ("ppo",), "budgets": (0.35,), "seeds": 1, "evaluations": 4}
    with pytest.raises(ConfigError, match=expected):
        Plan(**{**good, **change})  # type: ignore[arg-type]
