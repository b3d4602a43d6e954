"""Figures of a comparison: fronts, hypervolumes, and what they cost."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.compare.comparison import Comparison, spread

__all__ = ["draw_cost", "draw_fronts", "draw_hypervolumes"]

_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d1f"),
    *("#56b4e9", "#000000", "#a50026", "#666666", "#5e3c99"),
)
"""One for each method. Source: Okabe and Ito 2008, the later ones chosen to stay apart."""
_MARKERS = "osD^v<>PX*"


def draw_fronts(comparison: Comparison) -> Figure:
    """Draw test accuracy against latency / all-8 latency, the means over the seeds.

    Bars are standard errors over the seeds; uniform allocations are crosses.
    """
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    axes = figure.subplots()
    styles = _styles(comparison)
    for method in comparison.methods:
        points = []
        for budget in comparison.plan.budgets:
            accuracy, ratio = comparison.accuracy(method, budget), comparison.ratio(method, budget)
            if accuracy is not None and ratio is not None:
                points.append((ratio, accuracy))
        points.sort(key=lambda point: point[0].mean)
        if not points:
            continue
        colour, marker = styles[method]
        axes.errorbar(
            [ratio.mean for ratio, _ in points],
            [100 * accuracy.mean for _, accuracy in points],
            xerr=[ratio.deviation / ratio.count**0.5 for ratio, _ in points],
            yerr=[100 * accuracy.deviation / accuracy.count**0.5 for _, accuracy in points],
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.0,
            elinewidth=0.7,
            alpha=0.9,
            label=method,
        )
    _draw_uniform(axes, comparison)
    axes.set_xlabel(f"latency / all-8 latency ({comparison.source})")
    axes.set_ylabel("test accuracy [%]")
    axes.set_title(f"{comparison.task}: {_seeds(comparison)}", fontsize=11)
    axes.grid(color="0.92")
    axes.legend(fontsize=8, ncols=2)
    return figure


def draw_hypervolumes(comparison: Comparison) -> Figure:
    """Draw each method's hypervolume with its interval, the largest on top."""
    figure = Figure(figsize=(7.0, 0.4 * len(comparison.methods) + 1.4), layout="constrained")
    axes = figure.subplots()
    styles = _styles(comparison)
    found = {name: comparison.hypervolume(name) for name in comparison.methods}
    areas = {name: area for name, area in found.items() if area is not None}
    for place, name in enumerate(sorted(areas, key=lambda name: areas[name].mean)):
        area, (colour, marker) = areas[name], styles[name]
        axes.plot([area.low, area.high], [place, place], color=colour, linewidth=2)
        axes.plot([area.mean], [place], color=colour, marker=marker)
    axes.set_yticks(range(len(areas)), sorted(areas, key=lambda name: areas[name].mean))
    axes.set_xlabel("hypervolume (bootstrap interval of 95 %)")
    axes.set_title(f"{comparison.task}: {_seeds(comparison)}", fontsize=11)
    axes.grid(axis="x", color="0.92")
    return figure


def draw_cost(comparison: Comparison) -> Figure:
    """Draw hypervolume against the training samples that a method's searches used."""
    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.subplots()
    styles = _styles(comparison)
    for method in comparison.methods:
        area = comparison.hypervolume(method)
        if area is None:
            continue
        colour, marker = styles[method]
        samples = max(1.0, comparison.cost(method)["training_samples"])
        axes.plot([samples] * 2, [area.low, area.high], color=colour, linewidth=1)
        axes.plot([samples], [area.mean], color=colour, marker=marker, label=method, linestyle="")
    axes.set_xscale("log")
    axes.set_xlabel("training samples of one search")
    axes.set_ylabel("hypervolume")
    axes.grid(color="0.92")
    axes.legend(fontsize=8, ncols=2)
    return figure


def _draw_uniform(axes: Axes, comparison: Comparison) -> None:
    for bits in sorted({row.bits for row in comparison.uniform}, reverse=True):
        answers = comparison.uniform_answers(bits)
        accuracy = spread([answer.test_accuracy for answer in answers])
        ratio = comparison.ratios(answers)
        if accuracy is None or ratio is None:
            continue
        axes.plot([ratio.mean], [100 * accuracy.mean], color="0.3", marker="x", linestyle="")
        axes.annotate(
            f"uniform {bits}",
            (ratio.mean, 100 * accuracy.mean),
            textcoords="offset points",
            xytext=(5, -10),
            fontsize=8,
            color="0.3",
        )


def _styles(comparison: Comparison) -> Mapping[str, tuple[str, str]]:
    return {
        method: (_COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)])
        for index, method in enumerate(comparison.plan.methods)
    }


def _seeds(comparison: Comparison) -> str:
    plan = comparison.plan
    return f"{plan.seeds} seeds, {plan.evaluations} evaluations for each search that uses them"
