"""Learning charts: what the search reached over its evaluations, and the policy over its steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from env.evaluating.evaluation import Evaluation
from experiments.charts.chart import Axis, Chart, Limit, Mark, Series
from experiments.record.curves import Curve
from quant.objective.metric import ACCURACY, Metric

_NOT_THE_METHODS = ("uniform", "reference", "table")
"""Who asks for evaluations beside the method."""
_HEIGHT = 220.0


def evaluation_charts(
    evaluations: Sequence[Evaluation], budget: Mapping[str, Any] | None, energy_source: str
) -> list[Chart]:
    """Chart what each evaluation came to, in their order.

    Args:
        evaluations: In order; those that failed are left out.
        budget: Content of `budget.json`; None where none was decided yet.
        energy_source: Where energies come from.

    Returns:
        Score, latency and energy, as far as there are any.
    """
    limits = budget or {}
    done = [item for item in evaluations if not item.error]
    metric = done[0].metric if done else ACCURACY
    scores = [
        (item, metric.factor * item.score, metric.text_with_error(item.score, item.score_se))
        for item in done
    ]
    latencies = _measured_points(done, lambda item: item.latency_ms, "ms")
    energies = _measured_points(done, lambda item: item.energy_mj, "mJ")
    charts = [
        _evaluation_chart(metric.name, metric.unit, scores, None),
        _evaluation_chart("latency", "ms", latencies, limits.get("latency_ms")),
        _evaluation_chart(f"energy, {energy_source}", "mJ", energies, limits.get("energy_mj")),
    ]
    return [chart for chart in charts if chart.series]


def policy_charts(curves: Mapping[str, Curve], metric: Metric = ACCURACY) -> list[Chart]:
    """Chart what was logged of the policy's practice and real episodes, over its steps.

    Args:
        curves: By tag.
        metric: Of the run's scores.
    """
    charts = []
    # Last part of the tags `real/...` and `practice/...`, from the logged unit to the shown one,
    # what it is, label.
    episodes = (
        (metric.name, metric.factor, metric.title, f"mean {metric.axis}"),
        ("latency_ms", 1.0, "Latency", "mean latency (ms)"),
        ("reward_accuracy", 1.0, f"Reward for {metric.name}", f"mean reward, {metric.name} term"),
    )
    for name, factor, what, label in episodes:
        series = [
            _policy_series(kind, curve, factor)
            for kind in ("practice", "real")
            if (curve := curves.get(f"{kind}/{name}")) is not None
        ]
        if series:
            charts.append(
                Chart(
                    title=f"{what} of the policy's episodes",
                    x=Axis(label="steps of the policy", whole=True),
                    y=Axis(label=label),
                    series=tuple(series),
                    height=_HEIGHT,
                )
            )
    return charts


_Point = tuple[Evaluation, float, str]
"""An evaluation, a figure of it, and the figure in words."""


def _measured_points(
    evaluations: Sequence[Evaluation], value: Callable[[Evaluation], float | None], unit: str
) -> list[_Point]:
    return [
        (item, found, f"{found:.4g} {unit}" + f", {item.measurement.verdict}")
        for item in evaluations
        if item.measurement is not None and (found := value(item)) is not None
    ]


def _evaluation_chart(what: str, unit: str, points: Sequence[_Point], limit: float | None) -> Chart:
    marks = [
        Mark(x=item.index + 1, y=value, tip=f"evaluation {item.index + 1} ({item.proposer})\n{tip}")
        for item, value, tip in points
    ]
    own = [item.proposer not in _NOT_THE_METHODS for item, _, _ in points]
    kinds = (("the method's", "blue", True), ("uniform and reference", "orange", False))
    line = Series(
        marks=tuple(marks),
        colour="blue",
        tip="real evaluations",
        marker="",
        line="straight",
        width=1.0,
        faint=True,
    )
    return Chart(
        title=f"Real evaluations: {what}",
        x=Axis(label="evaluation", whole=True),
        y=Axis(label=f"{what} ({unit})" if unit else what),
        series=(
            line,
            *(
                Series(
                    marks=tuple(
                        mark for mark, is_own in zip(marks, own, strict=True) if is_own == which
                    ),
                    colour=colour,
                    name=name,
                    size=6.0,
                )
                for name, colour, which in kinds
            ),
        )
        if marks
        else (),
        y_limit=None
        if limit is None
        else Limit(value=limit, name="budget", tip=f"budget: {limit:.4g} {unit}"),
        height=_HEIGHT,
    )


def _policy_series(kind: str, curve: Curve, factor: float) -> Series:
    points = [(step, factor * value) for step, value in zip(curve.steps, curve.values, strict=True)]
    real = kind == "real"
    return Series(
        marks=tuple(
            Mark(x=float(step), y=value, tip=f"{kind}, step {step}\n{value:.4g}")
            for step, value in points
        ),
        colour="blue" if real else "orange",
        name="real" if real else "practice (predicted)",
        marker="o" if real or len(points) == 1 else "",
        size=6.0,
        line="straight",
    )
