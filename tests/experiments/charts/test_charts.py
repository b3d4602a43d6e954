"""What charts hold, exactly; that they are drawn is seen in test_draw.py."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from experiments.charts.bits import bits_chart, bits_matrix
from experiments.charts.chart import Mark
from experiments.charts.draw import draw_chart, png_bytes
from experiments.charts.front import front_chart, front_points, joint_chart
from experiments.charts.layer_times import layer_times_chart
from experiments.charts.learning import evaluation_charts, policy_charts
from experiments.record.curves import Curve
from experiments.stages.pareto import pareto_csv
from quant.allocation import LayerBits
from tests.experiments.evaluations import allocation, evaluation

EVALUATIONS = [
    evaluation(0, allocation(8), score=0.95, latency_ms=1.0),
    evaluation(1, allocation(6), score=0.95, latency_ms=0.7),
    evaluation(2, allocation(5, 4), score=0.90, latency_ms=0.8),
    evaluation(3, allocation(4), score=0.92, latency_ms=0.5),
    evaluation(4, allocation(3), score=0.99, latency_ms=None),
]


def test_front_keeps_what_nothing_beats() -> None:
    points, front = front_points(EVALUATIONS)
    assert points.shape == (4, 2)
    assert front.tolist() == [False, True, False, True]
    assert front_points([])[0].shape == (0, 2)


def test_pareto_csv_is_sorted_by_latency() -> None:
    rows = list(csv.DictReader(io.StringIO(pareto_csv(EVALUATIONS))))
    assert [row["index"] for row in rows] == ["3", "1"]
    assert rows[0]["bits"] == "4/8 4/8"
    assert float(rows[0]["beside_reference_score"]) == pytest.approx(-0.03)
    assert float(rows[0]["beside_reference_score_se"]) == 0.004


def test_bits_matrix_has_a_row_for_weights_and_one_for_activations() -> None:
    assert bits_matrix(allocation(4, 3)).tolist() == [[4, 4], [8, 3]]


def test_figures_are_png_images_of_the_stated_size() -> None:
    for chart in (
        bits_chart(allocation(4, 3), "best"),
        front_chart(EVALUATIONS, budget_ms=0.6),
        front_chart([]),
    ):
        png, width, height = png_bytes(draw_chart(chart))
        assert png.startswith(b"\x89PNG")
        assert np.frombuffer(png[16:24], ">u4").tolist() == [width, height]


def row(name: str, accuracy: float, latency_ms: float | None) -> dict[str, object]:
    return {
        "name": name,
        "score": accuracy,
        "score_se": 0.01,
        "latency_ms": latency_ms,
        "latency_iqr_ms": 0.02,
        "verdict": "stable",
    }


ROWS = [row("float", 0.97, None), row("uniform 8", 0.95, 1.0), row("best found", 0.92, 0.5)]


def test_the_front_chart_of_a_run_that_goes_on() -> None:
    chart = front_chart(EVALUATIONS, budget_ms=0.6)
    front, mixed, uniform = chart.series
    assert (front.name, front.line) == ("front", "steps")
    assert front.marks == (Mark(x=0.5, y=92.0), Mark(x=0.7, y=95.0))
    assert mixed.name == "searched, mixed bits"
    tip = "evaluation 3 (test), mixed bits\n90.00 ± 1.00 %, 0.8000 ms"
    assert mixed.marks == (Mark(x=0.8, y=90.0, tip=tip),)
    assert (uniform.name, uniform.hollow) == ("uniform bits", False)
    assert [(mark.x, mark.y) for mark in uniform.marks] == [(1.0, 95.0), (0.7, 95.0), (0.5, 92.0)]
    assert uniform.marks[0].tip.startswith("evaluation 1 (test), uniform 8")
    assert chart.x_limit is not None
    assert (chart.x_limit.value, chart.x_limit.name) == (0.6, "budget")
    assert chart.x.label == "latency, simulated (ms)"
    assert front_chart(EVALUATIONS).x_limit is None
    assert len(front_chart(EVALUATIONS[:1]).series) == 2


def test_the_front_chart_of_a_finished_run_has_its_final_table() -> None:
    *_, eight, best = front_chart(EVALUATIONS, ROWS).series
    assert (eight.name, eight.marks[0].text) == ("uniform, at the end", "8")
    assert (eight.marks[0].x_span, eight.marks[0].y_span) == ((0.99, 1.01), (94.0, 96.0))
    assert (best.name, best.marker, best.marks[0].text) == ("chosen", "*", "")
    assert best.marks[0].tip.endswith("92.00 ± 1.00 %, 0.5000 ms, IQR 0.0200 ms\nstable")


def test_what_lies_far_outside_is_hollow_and_on_the_edge() -> None:
    guess = evaluation(5, allocation(2), score=0.1, latency_ms=0.9)
    slow = evaluation(6, allocation(2), score=0.93, latency_ms=9.0)
    usual = [replace(item, index=7 + n) for n, item in enumerate(EVALUATIONS[:4] * 4)]
    chart = front_chart([*usual, guess, slow], ROWS)
    (hollow,) = (series for series in chart.series if series.hollow)
    assert [(mark.x, mark.y) for mark in hollow.marks] == [(0.9, 89.0), (1.5, 93.0)]
    assert "10.00 ± 1.00 %, 0.9000 ms" in hollow.marks[0].tip
    assert hollow.name == "uniform bits"


def test_a_disturbed_timing_does_not_squeeze_the_others() -> None:
    wide = {**row("uniform 8", 0.95, 1.0), "latency_iqr_ms": 50.0}
    *_, eight = front_chart(EVALUATIONS, [wide]).series
    assert eight.marks[0].x_span == pytest.approx((0.465, 1.035))
    assert "IQR 50.0000 ms" in eight.marks[0].tip


def test_runs_of_one_chart_keep_their_names_and_colours() -> None:
    one, two = joint_chart([("one", EVALUATIONS), ("two", [])]).series
    assert [(mark.x, mark.y) for mark in one.marks] == [(0.5, 92.0), (0.7, 95.0)]
    assert one.marks[0].tip == "one\n92.00 %, 0.5000 ms"
    assert (two.name, two.marks) == ("two", ())
    assert one.colour != two.colour


def test_evaluations_are_charted_in_order_without_those_that_failed() -> None:
    asked = [
        replace(item, proposer="reference" if item.index == 0 else "ppo") for item in EVALUATIONS
    ]
    accuracy, latency = evaluation_charts(asked, {"latency_ms": 0.6}, "none")
    line, own, others = accuracy.series
    assert [(mark.x, mark.y) for mark in line.marks] == [(1, 95.0), (2, 95.0), (3, 90.0), (4, 92.0)]
    assert [mark.x for mark in own.marks] == [2, 3, 4]
    assert [mark.tip for mark in others.marks] == ["evaluation 1 (reference)\n95.00 ± 1.00 %"]
    assert accuracy.y_limit is None
    assert latency.y.label == "latency (ms)"
    assert latency.y_limit is not None
    assert latency.y_limit.tip == "budget: 0.6 ms"
    assert latency.series[0].marks[1].tip == "evaluation 2 (ppo)\n0.7 ms, stable"
    assert evaluation_charts([], None, "none") == []


def test_practice_and_real_episodes_share_a_chart() -> None:
    curves = {
        "practice/accuracy": Curve(steps=(10, 20), values=(0.5, 0.6)),
        "real/accuracy": Curve(steps=(15,), values=(0.55,)),
        "real/reward_accuracy": Curve(steps=(15,), values=(-0.5,)),
    }
    accuracy, reward = policy_charts(curves)
    practice, real = accuracy.series
    assert [(mark.x, mark.y) for mark in practice.marks] == [(10.0, 50.0), (20.0, 60.0)]
    assert (practice.marker, real.marker) == ("", "o")
    assert real.marks[0].tip == "real, step 15\n55"
    assert [series.name for series in reward.series] == ["real"]


def test_layer_times_show_three_activation_widths_and_the_chosen_pair() -> None:
    times = {(w, a): 10.0 * w + a for w in (2, 8) for a in (2, 3, 4, 6, 8)}
    chosen = LayerBits(weight_bits=2, activation_bits=3)
    *lines, star = layer_times_chart("conv", times, chosen).series
    assert [line.name for line in lines] == [f"{bits}-bit activations" for bits in (2, 4, 8)]
    assert lines[0].marks == (
        Mark(x=2.0, y=22.0, tip="2/2 bits\n22.00 µs"),
        Mark(x=8.0, y=82.0, tip="8/2 bits\n82.00 µs"),
    )
    assert star.marks == (Mark(x=2.0, y=23.0, tip="chosen: 2/3 bits, 23.00 µs"),)
    assert len(layer_times_chart("conv", times, None).series) == 3


def test_the_bits_chart_has_a_row_for_each_layer() -> None:
    chart = bits_chart(allocation(4, 3), "best")
    weights, activations = chart.series
    assert chart.y.names == ("first", "second")
    assert [mark.x for mark in weights.marks] == [4.0, 4.0]
    assert [mark.x for mark in activations.marks] == [8.0, 3.0]
    assert [round(mark.y) for mark in weights.marks] == [0, -1]
