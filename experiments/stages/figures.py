"""Figures: what a run looks like. One function prepares the data, another draws it."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from env.evaluating.evaluation import Evaluation
from experiments.stages.unbeaten import unbeaten
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS

__all__ = ["bits_matrix", "draw_bits", "draw_front", "front_points", "png_bytes"]

_DPI = 100


def bits_matrix(allocation: Allocation) -> npt.NDArray[np.int64]:
    """Return the bits as int64 `[2, layers]`: weights, then activations."""
    return np.array(
        [
            [bits.weight_bits for _, bits in allocation.items],
            [bits.activation_bits for _, bits in allocation.items],
        ],
        dtype=np.int64,
    )


def draw_bits(allocation: Allocation, title: str) -> Figure:
    """Draw the bits of each layer as two bars a layer."""
    matrix = bits_matrix(allocation)
    names = [name for name, _ in allocation.items]
    figure = Figure(figsize=(max(4.0, 0.7 * len(names) + 2.0), 3.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    for offset, values, label in ((-0.2, matrix[0], "weights"), (0.2, matrix[1], "activations")):
        bars = axes.bar(places + offset, values, 0.38, label=label)
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_ylim(0, MAX_BITS + 1.5)
    axes.set_yticks(range(MIN_BITS, MAX_BITS + 1))
    axes.set_ylabel("bits")
    axes.set_title(title)
    axes.legend(ncols=2, fontsize=8, loc="upper right")
    return figure


def front_points(
    evaluations: Sequence[Evaluation],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return (latency_ms, accuracy) of what was measured, and which of them nothing beats.

    Returns:
        float64 `[N, 2]` and bool `[N]`, in the order of the evaluations that have a latency.
    """
    points = np.array(
        [[item.latency_ms, item.accuracy] for item in evaluations if item.latency_ms is not None],
        dtype=np.float64,
    ).reshape(-1, 2)
    return points, unbeaten(points * (1.0, -1.0))


def draw_front(
    evaluations: Sequence[Evaluation], best: Evaluation, budget_ms: float | None
) -> Figure:
    """Draw accuracy against latency, the front, the chosen one and the budget."""
    points, front = front_points(evaluations)
    figure = Figure(figsize=(5.5, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.scatter(points[~front, 0], 100 * points[~front, 1], color="0.7", label="evaluated")
    axes.scatter(points[front, 0], 100 * points[front, 1], color="C0", label="front")
    if best.latency_ms is not None:
        axes.scatter(
            [best.latency_ms], [100 * best.accuracy], marker="*", s=160, color="C3", label="best"
        )
    if budget_ms is not None:
        axes.axvline(budget_ms, color="0.4", linestyle="--", label="budget")
    emulated = any(e.measurement and e.measurement.source == "emulated" for e in evaluations)
    axes.set_xlabel("latency, emulated [ms]" if emulated else "latency [ms]")
    axes.set_ylabel("accuracy, search split [%]")
    axes.legend(fontsize=8)
    return figure


def png_bytes(figure: Figure) -> tuple[bytes, int, int]:
    """Return a figure as PNG with its width and height in pixels."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    buffer = io.BytesIO()
    canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height()
    return buffer.getvalue(), width, height
