"""Front chart: accuracy against latency, with the front, the uniform allocations and the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from env.evaluating.evaluation import Evaluation
from experiments.record.run_record import RunRecord
from experiments.report.markup import Markup, element
from experiments.report.plot import Axis, Plot
from experiments.stages.figures import front_points
from quant.allocation import Allocation

__all__ = ["BEST_ROW", "front_figure", "joint_figure", "uniform_bits"]

BEST_ROW = "best found"
DIAMOND = "0,-6.5 6.5,0 0,6.5 -6.5,0"
STAR = "0,-10 2.4,-3.3 9.5,-3.1 3.8,1.3 5.9,8.1 0,4 -5.9,8.1 -3.8,1.3 -9.5,-3.1 -2.4,-3.3"

_REACH = 1.0
"""How far the axes reach beyond the figures of the final table, in multiples of their range: a
2-bit allocation that guesses, or a disturbed timing, must not squeeze everything else."""
_SHOWN_PCT = 85
"""Share of the evaluations, in percent, that each axis shows whatever the table says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Window:
    """The shown part of the plane: latency in ms, accuracy in percent."""

    right_ms: float
    bottom_pct: float

    def holds(self, latency_ms: float, accuracy_pct: float) -> bool:
        return latency_ms <= self.right_ms and accuracy_pct >= self.bottom_pct


def uniform_bits(allocation: Allocation) -> int | None:
    """Return the weight bits that all layers share, None where they differ.

    Activations must have them too, but for the tensor that the first layers read: its 8 are fixed.
    """
    weights = {bits.weight_bits for _, bits in allocation.items}
    if len(weights) != 1:
        return None
    (width,) = weights
    others = {bits.activation_bits for _, bits in allocation.items} - {width}
    first = allocation.items[0][1].activation_bits
    return width if not others or (others == {first} and first == 8) else None


def front_figure(record: RunRecord) -> Markup:
    """Draw one run. What lies outside the shown part is drawn on its edge and said so."""
    timed = [item for item in record.evaluations if item.latency_ms is not None]
    rows = [row for row in record.rows if row["latency_ms"] is not None]
    if not timed:
        return element("p", "Nothing has been measured yet.", class_="note")
    window = _window(timed, rows)
    plot = Plot(
        title="Accuracy against latency",
        x=Axis.around("latency (ms)", [*_latencies(timed, rows, window), *_budget(record)]),
        y=Axis.around("accuracy, search split (%)", _accuracies(timed, rows, window)),
    )
    if record.budget_ms is not None:
        plot.shade(record.budget_ms, f"budget: {record.budget_ms:.4f} ms")
    _draw_front(plot, timed)
    hidden = sum(_draw_evaluation(plot, item, window) for item in timed)
    for row in rows:
        _draw_row(plot, row)
    note = f"{hidden} of {len(timed)} evaluations lie outside and are drawn hollow on the edge. "
    return element(
        "figure",
        plot.svg(),
        _legend(record.budget_ms is not None, bool(rows)),
        element(
            "figcaption",
            note if hidden else "",
            "Dots: as timed during the search. Diamonds and star: timed again at the end, side "
            "by side; lines are the standard error and the interquartile range."
            if rows
            else "As timed during the search.",
        ),
    )


def joint_figure(records: Sequence[RunRecord]) -> Markup:
    """Draw the fronts and the chosen allocations of several runs in one plane."""
    points = {}
    for record in records:
        timed = [item for item in record.evaluations if item.latency_ms is not None]
        places, front = front_points(timed)
        points[record.path] = sorted((float(x), 100 * float(y)) for x, y in places[front])
    every = [point for front_of in points.values() for point in front_of]
    if not every:
        return element("p", "Nothing has been measured in any of the runs.", class_="note")
    plot = Plot(
        title="Fronts of all runs",
        x=Axis.around("latency (ms)", [x for x, _ in every]),
        y=Axis.around("accuracy, search split (%)", [y for _, y in every]),
    )
    for number, record in enumerate(records):
        kind = f"run{number % 6}"
        front_of = points[record.path]
        if front_of:
            plot.line(front_of, kind, record.name, steps=True)
        for x, y in front_of:
            plot.dot(x, y, kind, f"{record.name}\n{y:.2f} %, {x:.4f} ms")
    keys = [
        element("span", element("i", class_=f"key run{number % 6}"), record.name)
        for number, record in enumerate(records)
    ]
    caption = "What no other evaluation of the same run beats, as timed during its search."
    return element(
        "figure",
        plot.svg(),
        element("div", *keys, class_="legend"),
        element("figcaption", caption),
    )


def _window(timed: Sequence[Evaluation], rows: Sequence[Mapping[str, Any]]) -> _Window:
    latencies = np.array([item.latency_ms for item in timed], dtype=np.float64)
    accuracies = 100 * np.array([item.accuracy for item in timed], dtype=np.float64)
    if not rows:
        return _Window(right_ms=float(latencies.max()), bottom_pct=float(accuracies.min()))
    times = [row["latency_ms"] for row in rows]
    scores = [100 * row["accuracy"] for row in rows]
    errors = 100 * max(row["accuracy_se"] for row in rows)
    right = max(times) + _REACH * (max(times) - min(times))
    bottom = min(scores) - _REACH * max(max(scores) - min(scores), errors)
    right = max(right, float(np.percentile(latencies, _SHOWN_PCT)))
    bottom = min(bottom, float(np.percentile(accuracies, 100 - _SHOWN_PCT)))
    return _Window(
        right_ms=min(right, float(latencies.max())),
        bottom_pct=max(bottom, float(accuracies.min())),
    )


def _latencies(
    timed: Sequence[Evaluation], rows: Sequence[Mapping[str, Any]], window: _Window
) -> list[float]:
    found = [item.latency_ms or 0.0 for item in timed] + [row["latency_ms"] for row in rows]
    return [*(value for value in found if value <= window.right_ms), window.right_ms]


def _accuracies(
    timed: Sequence[Evaluation], rows: Sequence[Mapping[str, Any]], window: _Window
) -> list[float]:
    ends = [100 * (row["accuracy"] + row["accuracy_se"]) for row in rows]
    ends += [100 * (row["accuracy"] - row["accuracy_se"]) for row in rows]
    found = [100 * item.accuracy for item in timed] + ends
    return [*(value for value in found if value >= window.bottom_pct), window.bottom_pct]


def _budget(record: RunRecord) -> list[float]:
    return [] if record.budget_ms is None else [record.budget_ms]


def _draw_front(plot: Plot, timed: Sequence[Evaluation]) -> None:
    places, front = front_points(timed)
    points = sorted((float(x), 100 * float(y)) for x, y in places[front])
    if len(points) > 1:
        plot.line(points, "front", "front: beaten by no other evaluation", steps=True)


def _draw_evaluation(plot: Plot, item: Evaluation, window: _Window) -> bool:
    """Draw one evaluation and return whether it lies outside the window."""
    latency_ms, accuracy = item.latency_ms or 0.0, 100 * item.accuracy
    width = uniform_bits(item.allocation)
    what = "mixed bits" if width is None else f"uniform {width}"
    tip = f"evaluation {item.index + 1} ({item.proposer}), {what}\n"
    tip += f"{accuracy:.2f} ± {100 * item.accuracy_se:.2f} %, {latency_ms:.4f} ms"
    outside = not window.holds(latency_ms, accuracy)
    kind = ("searched" if width is None else "uniform") + (" hollow" if outside else "")
    plot.dot(latency_ms, accuracy, kind, tip)
    return outside


def _draw_row(plot: Plot, row: Mapping[str, Any]) -> None:
    x, y = row["latency_ms"], 100 * row["accuracy"]
    error, half = 100 * row["accuracy_se"], row["latency_iqr_ms"] / 2
    best = row["name"] == BEST_ROW
    kind = "chosen" if best else "uniform"
    tip = f"{row['name']}, timed side by side\n{y:.2f} ± {error:.2f} %, {x:.4f} ms, "
    tip += f"IQR {row['latency_iqr_ms']:.4f} ms\n{row['verdict']}"
    plot.line([(x, y - error), (x, y + error)], f"whisker {kind}", tip)
    plot.line([(x - half, y), (x + half, y)], f"whisker {kind}", tip)
    plot.shape(x, y, STAR if best else DIAMOND, kind, tip)
    if not best:
        plot.text(x, y, row["name"].removeprefix("uniform "), "point", anchor="start")


def _legend(budget: bool, finished: bool) -> Markup:
    keys = [("dot searched", "searched, mixed bits"), ("dot uniform", "uniform bits")]
    keys += [("diamond uniform", "uniform, at the end"), ("star", "chosen")] if finished else []
    keys += [("rule front", "front")] + ([("rule budget", "budget")] if budget else [])
    return element(
        "div",
        *(element("span", element("i", class_=f"key {kind}"), text) for kind, text in keys),
        class_="legend",
    )
