"""Learning charts: what the search reached over its evaluations, and the policy over its steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from env.evaluating.evaluation import Evaluation
from experiments.record.curves import Curve
from experiments.record.run_record import RunRecord
from experiments.report.markup import Markup, element
from experiments.report.plot import Axis, Plot
from hardware.energy.energy import NO_METER

__all__ = ["learning_figures"]

_HEIGHT = 220.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """One quantity of real and of practice episodes, both over the policy's steps."""

    title: str
    name: str
    """Last part of the tags `real/...` and `practice/...`."""
    label: str
    factor: float = 1.0
    """From the logged unit to the shown one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """One measured quantity of the evaluations."""

    name: str
    unit: str
    value: Callable[[Evaluation], float | None]


_LATENCY = _Measured(name="latency", unit="ms", value=lambda item: item.latency_ms)


def _energy_of(source: str) -> _Measured:
    return _Measured(name=f"energy, {source}", unit="mJ", value=lambda item: item.energy_mj)


_PAIRS = (
    _Pair(
        title="Accuracy of the policy's episodes",
        name="accuracy",
        label="mean accuracy (%)",
        factor=100.0,
    ),
    _Pair(
        title="Latency of the policy's episodes",
        name="latency_ms",
        label="mean latency (ms)",
    ),
    _Pair(
        title="Reward for accuracy of the policy's episodes",
        name="reward_accuracy",
        label="mean reward, accuracy term",
    ),
)


def learning_figures(record: RunRecord) -> list[Markup]:
    """Draw real evaluations in order, then real and practice episodes of the policy.

    Returns:
        The figures for which there are values; empty where nothing was logged yet.
    """
    figures = []
    timed = [item for item in record.evaluations if not item.error]
    if timed:
        figures.append(_accuracy_figure(timed))
        figures.append(_measured_figure(timed, _LATENCY, record.budget_ms))
        if record.energy_source != NO_METER:
            limit = None if record.budget is None else record.budget.get("energy_mj")
            figures.append(_measured_figure(timed, _energy_of(record.energy_source), limit))
    for pair in _PAIRS:
        curves = {kind: record.curves.get(f"{kind}/{pair.name}") for kind in ("practice", "real")}
        found = {kind: curve for kind, curve in curves.items() if curve is not None}
        if found:
            figures.append(_pair_figure(pair, found))
    return figures


def _accuracy_figure(evaluations: Sequence[Evaluation]) -> Markup:
    """Each evaluation, and the best of the inside ones as TensorBoard's `best/accuracy` has it."""
    points = [(float(item.index + 1), 100 * item.accuracy) for item in evaluations]
    plot = Plot(
        title="Accuracy of each evaluation",
        height=_HEIGHT,
        x=_counting("evaluation", [x for x, _ in points]),
        y=Axis.around("accuracy (%)", [y for _, y in points]),
    )
    plot.line(points, "real thin", "real evaluations")
    for item, (x, y) in zip(evaluations, points, strict=True):
        tip = f"evaluation {x:.0f} ({item.proposer})\n{y:.2f} ± {100 * item.accuracy_se:.2f} %"
        plot.dot(x, y, _kind(item), tip, radius=3.5)
    return _figure("Real evaluations: accuracy", plot, _EVALUATION_KEYS)


def _measured_figure(
    evaluations: Sequence[Evaluation], quantity: _Measured, limit: float | None
) -> Markup:
    points = [
        (item, float(item.index + 1), value)
        for item in evaluations
        if (value := quantity.value(item)) is not None
    ]
    values = [value for _, _, value in points]
    plot = Plot(
        title=f"{quantity.name.capitalize()} of each evaluation",
        height=_HEIGHT,
        x=_counting("evaluation", [x for _, x, _ in points]),
        y=Axis.around(
            f"{quantity.name} ({quantity.unit})", values if limit is None else [*values, limit]
        ),
    )
    keys = list(_EVALUATION_KEYS)
    if limit is not None:
        ends = [(plot.x.low, limit), (plot.x.high, limit)]
        plot.line(ends, "budget", f"budget: {limit:.4g} {quantity.unit}")
        keys.append(("rule budget", "budget"))
    plot.line([(x, y) for _, x, y in points], "real thin", "real evaluations")
    for item, x, y in points:
        tip = f"evaluation {x:.0f} ({item.proposer})\n{y:.4g} {quantity.unit}"
        if item.measurement is not None:
            tip += f", {item.measurement.verdict}"
        plot.dot(x, y, _kind(item), tip, radius=3.5)
    return _figure(f"Real evaluations: {quantity.name}", plot, keys)


_EVALUATION_KEYS = (("dot searched", "the method's"), ("dot uniform", "uniform and reference"))
_POLICY_KEYS = {
    "practice": ("rule practice", "practice (predicted)"),
    "real": ("rule real", "real"),
}


def _pair_figure(pair: _Pair, curves: dict[str, Curve]) -> Markup:
    points = {
        kind: [
            (float(step), pair.factor * value)
            for step, value in zip(curve.steps, curve.values, strict=True)
        ]
        for kind, curve in curves.items()
    }
    every = [point for some in points.values() for point in some]
    plot = Plot(
        title=pair.title,
        height=_HEIGHT,
        x=_counting("steps of the policy", [x for x, _ in every]),
        y=Axis.around(pair.label, [y for _, y in every]),
    )
    for kind, some in points.items():
        plot.line(some, kind, kind)
        if kind == "real" or len(some) == 1:
            for x, y in some:
                plot.dot(x, y, kind, f"{kind}, step {x:.0f}\n{y:.4g}", radius=3.0)
    return _figure(pair.title, plot, [_POLICY_KEYS[kind] for kind in points])


def _counting(label: str, values: Sequence[float]) -> Axis:
    """Return an axis of whole numbers with a little room at both ends."""
    low, high = min(values), max(values)
    room = max(0.5, 0.03 * (high - low))
    axis = Axis(label=label, low=low - room, high=high + room)
    return Axis(
        label=label,
        low=axis.low,
        high=axis.high,
        ticks=[tick for tick in axis.places() if tick == round(tick)],
    )


def _kind(item: Evaluation) -> str:
    return "uniform" if item.proposer in ("uniform", "reference", "table") else "searched"


def _figure(title: str, plot: Plot, keys: Sequence[tuple[str, str]]) -> Markup:
    spans = [element("span", element("i", class_=f"key {kind}"), text) for kind, text in keys]
    return element(
        "figure",
        element("h4", title),
        plot.svg(),
        element("div", *spans, class_="legend"),
    )
