"""Front chart: score against latency, with the front, the uniform allocations and the budget."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from env.decisions.fronts import pareto_mask
from env.evaluating.evaluation import Evaluation
from experiments.charts.chart import Axis, Chart, Limit, Mark, Series
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS
from quant.objective.metric import ACCURACY, Metric

BEST_ROW = "best found"

_REACH = 1.0
"""How far the axes reach beyond the figures of the final table, in multiples of their range: a
2-bit allocation that guesses, or a disturbed timing, must not squeeze everything else."""
_SHOWN_PCT = 85
"""Share of the evaluations, in percent, that each axis shows whatever the table says."""
_ROOM = 0.07
"""How far a wide interquartile range widens the latency axis, as a share of it."""
_COLOURS = ("blue", "orange", "star", "green", "soft", "amber")
"""Of several runs in one chart."""


def uniform_bits(allocation: Allocation) -> int | None:
    """Return the weight bits that all layers share, None where they differ.

    Activations must have them too, but for the tensor that the first layers read: its 8 are fixed.
    """
    weights = {bits.weight_bits for _, bits in allocation.items}
    if len(weights) != 1 or FLOAT_BITS in weights:
        return None
    (width,) = weights
    others = {bits.activation_bits for _, bits in allocation.items} - {width}
    first = allocation.items[0][1].activation_bits
    return width if not others or (others == {first} and first == 8) else None


def front_points(
    evaluations: Sequence[Evaluation],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return (latency_ms, score) of what was measured, and which of them nothing beats.

    Returns:
        float64 `[N, 2]` and bool `[N]`, in the order of the evaluations that have a latency.
    """
    points = np.array(
        [
            [item.latency_ms, item.score, -item.quality]
            for item in evaluations
            if item.latency_ms is not None
        ],
        dtype=np.float64,
    ).reshape(-1, 3)
    return points[:, :2], pareto_mask(points[:, ::2])


def front_chart(
    evaluations: Sequence[Evaluation],
    rows: Sequence[Mapping[str, Any]] = (),
    budget_ms: float | None = None,
) -> Chart:
    """Chart one run. What lies outside the shown part is a hollow mark on its edge.

    Args:
        evaluations: In order; those without a latency are left out.
        rows: Of the final table, as in `results.json`; empty before the run has ended.
        budget_ms: Where the run has decided one.
    """
    timed = [item for item in evaluations if item.latency_ms is not None]
    rows = [row for row in rows if row["latency_ms"] is not None]
    metric = _metric_of(timed)
    right_ms, worst = _window(timed, rows, metric) if timed else (0.0, 0.0)
    inside = max if metric.more_is_better else min
    left_ms = min([*(item.latency_ms or 0.0 for item in timed), right_ms])
    room_ms = _ROOM * (right_ms - left_ms)
    front = [(min(x, right_ms), inside(y, worst)) for x, y in _front(timed)]
    kinds: dict[tuple[bool, bool], list[Mark]] = {}
    for item in timed:
        width = uniform_bits(item.allocation)
        x, y = item.latency_ms or 0.0, metric.factor * item.score
        mark = Mark(x=min(x, right_ms), y=inside(y, worst), tip=_tip(item, width))
        kinds.setdefault((width is not None, (mark.x, mark.y) != (x, y)), []).append(mark)
    sources = {item.measurement.source for item in timed if item.measurement} - {"measured"}
    return Chart(
        title=f"{metric.title} against latency",
        x=Axis(label=f"{', '.join(['latency', *sorted(sources)])} (ms)"),
        y=Axis(label=_label(metric)),
        series=(
            Series(
                marks=tuple(Mark(x=x, y=y) for x, y in front),
                colour="blue",
                name="front",
                tip="front: beaten by no other evaluation",
                marker="",
                line="steps",
                faint=True,
            ),
            *(
                Series(
                    marks=tuple(marks),
                    colour="orange" if uniform else "blue",
                    name="uniform bits" if uniform else "searched, mixed bits",
                    hollow=outside,
                )
                for (uniform, outside), marks in sorted(kinds.items())
            ),
            *(_final_series(row, metric, left_ms - room_ms, right_ms + room_ms) for row in rows),
        ),
        x_limit=None
        if budget_ms is None
        else Limit(value=budget_ms, name="budget", tip=f"budget: {budget_ms:.4f} ms"),
        height=280.0,
    )


def joint_chart(runs: Sequence[tuple[str, Sequence[Evaluation]]]) -> Chart:
    """Chart the fronts of several runs, each a name and its evaluations, in one plane."""
    metrics = dict.fromkeys(_metric_of(evaluations) for _, evaluations in runs)
    return Chart(
        title="Fronts of all runs",
        x=Axis(label="latency (ms)"),
        y=Axis(label="; ".join(map(_label, metrics))),
        series=tuple(
            Series(
                marks=tuple(
                    Mark(x=x, y=y, tip=f"{name}\n{_tip_of(evaluations, y)}, {x:.4f} ms")
                    for x, y in _front(evaluations)
                ),
                colour=_COLOURS[number % len(_COLOURS)],
                name=name,
                line="steps",
            )
            for number, (name, evaluations) in enumerate(runs)
        ),
        height=280.0,
    )


def _front(evaluations: Sequence[Evaluation]) -> list[tuple[float, float]]:
    """Return (latency in ms, score as shown) of what nothing beats, fastest first."""
    points, front = front_points(evaluations)
    factor = _metric_of(evaluations).factor
    return sorted((float(x), factor * float(y)) for x, y in points[front])


def _metric_of(evaluations: Sequence[Evaluation]) -> Metric:
    return evaluations[0].metric if evaluations else ACCURACY


def _label(metric: Metric) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.name}, search split{unit}"


def _tip_of(evaluations: Sequence[Evaluation], shown: float) -> str:
    metric = _metric_of(evaluations)
    return metric.text(shown / metric.factor)


def _window(
    timed: Sequence[Evaluation], rows: Sequence[Mapping[str, Any]], metric: Metric
) -> tuple[float, float]:
    """Return the largest latency in ms and the worst score, as shown, that are in the chart."""
    upwards = metric.factor if metric.more_is_better else -metric.factor
    points = front_points(timed)[0] * (1.0, upwards)
    times, scores = [row["latency_ms"] for row in rows], [upwards * row["score"] for row in rows]
    slowest = float(max([*points[:, 0], *times]))
    lowest = float(min([*points[:, 1], *scores]))
    sign = 1.0 if metric.more_is_better else -1.0
    if not rows:
        return slowest, sign * lowest
    error = metric.factor * max(row["score_se"] or 0.0 for row in rows)
    right = max(times) + _REACH * (max(times) - min(times))
    bottom = min(scores) - _REACH * max(max(scores) - min(scores), error)
    right = max(right, float(np.percentile(points[:, 0], _SHOWN_PCT)))
    bottom = min(bottom, float(np.percentile(points[:, 1], 100 - _SHOWN_PCT)))
    return min(right, slowest), sign * max(bottom, lowest)


def _tip(item: Evaluation, width: int | None) -> str:
    what = "mixed bits" if width is None else f"uniform {width}"
    return (
        f"evaluation {item.index + 1} ({item.proposer}), {what}\n"
        f"{item.metric.text_with_error(item.score, item.score_se)}, {item.latency_ms:.4f} ms"
    )


def _final_series(row: Mapping[str, Any], metric: Metric, low_ms: float, high_ms: float) -> Series:
    """Return a row of the final table, with its standard error and interquartile range.

    What of the latter lies beyond `low_ms` and `high_ms` is cut off.
    """
    x, y = row["latency_ms"], metric.factor * row["score"]
    error, half = metric.factor * (row["score_se"] or 0.0), row["latency_iqr_ms"] / 2
    best = row["name"] == BEST_ROW
    told = metric.text_with_error(row["score"], row["score_se"])
    tip = f"{row['name']}, timed side by side\n{told}, {x:.4f} ms, "
    tip += f"IQR {row['latency_iqr_ms']:.4f} ms\n{row['verdict']}"
    mark = Mark(
        x=x,
        y=y,
        tip=tip,
        text="" if best else row["name"].removeprefix("uniform "),
        x_span=(max(x - half, low_ms), min(x + half, high_ms)),
        y_span=(y - error, y + error),
    )
    return Series(
        marks=(mark,),
        colour="star" if best else "orange",
        name="chosen" if best else "uniform, at the end",
        marker="*" if best else "D",
        size=15.0 if best else 8.0,
        width=1.5,
    )
