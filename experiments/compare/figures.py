"""Figures of a comparison: fronts, hypervolumes, and what they cost."""

from collections.abc import Callable
from dataclasses import replace

from experiments.charts.chart import Axis, Chart, Line, Mark, Series
from experiments.compare.comparison import Comparison, Spread, spread
from experiments.compare.hypervolume import HypervolumeEstimate

_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d1f"),
    *("#56b4e9", "#000000", "#a50026", "#666666", "#5e3c99"),
)
"""One for each method. Source: Okabe and Ito 2008, the later ones chosen to stay apart."""
_MARKERS = "osD^v<>PX*"


def fronts_chart(comparison: Comparison) -> Chart:
    """Chart the test score against latency / all-8 latency, the means over the seeds.

    Whiskers are standard errors over the seeds; uniform allocations are crosses.
    """
    series, factor = [], comparison.metric.factor
    for method in comparison.methods:
        marks = [
            _mean(comparison.ratio(method, budget), comparison.score(method, budget), factor)
            for budget in comparison.plan.budgets
        ]
        found = sorted((mark for mark in marks if mark is not None), key=lambda mark: mark.x)
        series.append(_series(comparison, method, *found, line="straight"))
    for bits in sorted({row.bits for row in comparison.uniform}, reverse=True):
        answers = comparison.uniform_answers(bits)
        score = spread([answer.test_score for answer in answers])
        mark = _mean(comparison.ratios(answers), score, factor)
        if mark is not None:
            mark = Mark(x=mark.x, y=mark.y, text=f"uniform {bits}")
            series.append(Series(marks=(mark,), colour="soft", marker="X"))
    return Chart(
        title=_title(comparison),
        x=Axis(label=f"latency / all-8 latency ({comparison.source})"),
        y=Axis(label=f"test {comparison.metric.axis}"),
        series=tuple(series),
        width=648.0,
        height=432.0,
    )


def hypervolumes_chart(comparison: Comparison) -> Chart:
    """Chart each method's hypervolume with its interval, the largest on top."""
    areas = _areas(comparison)
    names = sorted(areas, key=lambda name: areas[name].mean)
    return Chart(
        title=_title(comparison),
        x=Axis(label="hypervolume (bootstrap interval of 95 %)"),
        y=Axis(label="", ticks=tuple(range(len(names))), names=tuple(names)),
        series=tuple(
            replace(
                _series(
                    comparison,
                    name,
                    Mark(x=areas[name].mean, y=place, x_span=(areas[name].low, areas[name].high)),
                ),
                name="",
            )
            for place, name in enumerate(names)
        ),
        width=504.0,
        height=80.0 + 29.0 * len(comparison.methods),
    )


def cost_chart(comparison: Comparison) -> Chart:
    """Chart hypervolume against the training samples that a method's searches used."""
    marks = {
        name: Mark(
            x=max(1.0, comparison.cost(name)["training_samples"]),
            y=area.mean,
            y_span=(area.low, area.high),
        )
        for name, area in _areas(comparison).items()
    }
    return Chart(
        title=_title(comparison),
        x=Axis(label="training samples of one search", log=True),
        y=Axis(label="hypervolume"),
        series=tuple(_series(comparison, name, mark) for name, mark in marks.items()),
        width=504.0,
        height=324.0,
    )


CHARTS: dict[str, Callable[[Comparison], Chart]] = {
    "fronts": fronts_chart,
    "hypervolume": hypervolumes_chart,
    "cost": cost_chart,
}
"""Every chart of a comparison, by the end of its file's name."""


def _mean(ratio: Spread | None, score: Spread | None, factor: float) -> Mark | None:
    """Return a mark with whiskers; `factor` is from a score to what is shown."""
    if ratio is None or score is None:
        return None
    x_error = ratio.deviation / ratio.count**0.5
    y, y_error = factor * score.mean, factor * score.deviation / score.count**0.5
    return Mark(
        x=ratio.mean,
        y=y,
        x_span=(ratio.mean - x_error, ratio.mean + x_error),
        y_span=(y - y_error, y + y_error),
    )


def _areas(comparison: Comparison) -> dict[str, HypervolumeEstimate]:
    areas = {name: comparison.hypervolume(name) for name in comparison.methods}
    return {name: area for name, area in areas.items() if area is not None}


def _series(comparison: Comparison, method: str, *marks: Mark, line: Line = "") -> Series:
    index = comparison.plan.methods.index(method)
    return Series(
        marks=marks,
        colour=_COLOURS[index % len(_COLOURS)],
        name=method,
        marker=_MARKERS[index % len(_MARKERS)],
        size=8.0,
        line=line,
        width=1.0,
    )


def _title(comparison: Comparison) -> str:
    plan = comparison.plan
    seeds = f"{plan.seeds} seeds, {plan.evaluations} evaluations for each search that uses them"
    return f"{comparison.task}: {seeds}"
