"""Draw: any chart by matplotlib, and a figure as PNG."""

import io
import math
from collections.abc import Sequence
from typing import Any

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as DrawnAxis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.charts.chart import PALETTE, Axis, Chart, Limit, Series

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": PALETTE["soft"],
    "axes.formatter.limits": (-7, 7),
    "axes.formatter.useoffset": False,
    "axes.labelcolor": PALETTE["ink"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.xmargin": 0.07,
    "axes.ymargin": 0.07,
    "figure.titlesize": "medium",
    "font.size": 12.0,
    "grid.color": PALETTE["rule"],
    "legend.fontsize": "small",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bitalloc",
    "text.color": PALETTE["ink"],
    "text.parse_math": False,
    "xtick.color": PALETTE["soft"],
    "ytick.color": PALETTE["soft"],
    "ytick.major.size": 0.0,
}
"""Settings of matplotlib, for as long as a chart is drawn and written."""

_DPI = 100
_NAME_GAP = 0.038
"""Least distance of two names beside lines' ends, as a share of the axes' height."""


def draw_chart(chart: Chart) -> Figure:
    """Draw a chart with its title and legend, as a picture that stands alone."""
    with style.context(STYLE):
        figure = Figure(figsize=(chart.width / 72, chart.height / 72), layout="constrained")
        axes = figure.subplots()
        draw_axes(axes, chart)
        _name_ends(axes, chart.series)
        figure.suptitle(chart.title)
        named: dict[str, Artist] = {}
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
        columns = max(2, round(chart.width / 180))
        figure.legend(named.values(), named, loc="outside lower center", ncols=columns)
    return figure


def draw_axes(axes: Axes, chart: Chart) -> dict[str, tuple[str, ...]]:
    """Draw a chart into axes.

    Returns:
        What is read at the parts of each artist, by its group's id: the line's if there is one,
        then its marks'.
    """
    tips: dict[str, tuple[str, ...]] = {}
    for series in chart.series:
        _draw_series(axes, series, tips)
    # Above its axis and not along it: read without turning the head, and never on a number.
    axes.set_title(chart.y.label, loc="left")
    axes.set_xlabel(chart.x.label)
    axes.grid(axis="x" if chart.y.names else "y")
    axes.set_xscale("log" if chart.x.log else "linear")
    if chart.y_limit is not None:
        axes.axhline(chart.y_limit.value, **_limit(chart.y_limit, tips))
    if chart.x_limit is not None:
        axes.axvline(chart.x_limit.value, **_limit(chart.x_limit, tips))
        low, high = axes.get_xlim()
        axes.axvspan(chart.x_limit.value, high, color=PALETTE["soft"], alpha=0.1, linewidth=0.0)
        axes.set_xlim(low, high)
    _set_ticks(axes.xaxis, chart.x)
    _set_ticks(axes.yaxis, chart.y)
    if chart.y.from_zero:
        axes.set_ylim(bottom=0.0)
    return tips


def png_bytes(figure: Figure) -> tuple[bytes, int, int]:
    """Return a figure as PNG with its width and height in pixels."""
    buffer = io.BytesIO()
    with style.context(STYLE):
        figure.savefig(buffer, format="png", dpi=_DPI)
    png = buffer.getvalue()
    return png, int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def spread_out(places: Sequence[float], gap: float, high: float) -> list[float]:
    """Return ascending places moved apart to `gap`, none above `high`, as little as it takes.

    Args:
        places: In ascending order.
        gap: Least distance of neighbours.
        high: Largest place.
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    limit = high
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - gap
    return moved


def _draw_series(axes: Axes, series: Series, tips: dict[str, tuple[str, ...]]) -> None:
    marks = [mark for mark in series.marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    if not marks:
        return
    colour, card = PALETTE.get(series.colour, series.colour), PALETTE["card"]
    alpha = 0.5 if series.faint else None
    for mark in marks:
        for xs, ys in ((mark.x_span, (mark.y, mark.y)), ((mark.x, mark.x), mark.y_span)):
            if xs and ys:
                group = _with_tips(tips, mark.tip)
                axes.plot(xs, ys, color=colour, alpha=alpha, linewidth=series.width, gid=group)
        if mark.text:
            box = {"boxstyle": "round,pad=0.1", "fc": card, "ec": "none", "alpha": 0.8}
            beside = mark.y_span is not None  # a text above would hide the whisker
            axes.annotate(
                mark.text,
                (mark.x, mark.y),
                xytext=(4, 5) if beside else (0, 8),
                textcoords="offset points",
                ha="left" if beside else "center",
                color=colour,
                weight="bold",
                bbox=box,
            )
    line = (series.tip or series.name,) if series.line else ()
    axes.plot(
        [mark.x for mark in marks],
        [mark.y for mark in marks],
        color=colour,
        alpha=alpha,
        linestyle="-" if series.line else "",
        linewidth=series.width,
        drawstyle="steps-post" if series.line == "steps" else "default",
        marker=series.marker,
        markersize=series.size,
        markerfacecolor=card if series.hollow else colour,
        markeredgecolor=colour if series.hollow else card,
        label=series.name or None,
        gid=_with_tips(tips, *line, *(mark.tip for mark in marks if series.marker)),
    )


def _with_tips(tips: dict[str, tuple[str, ...]], *texts: str) -> str:
    group = f"tips{len(tips)}"
    tips[group] = texts
    return group


def _limit(limit: Limit, tips: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    return {
        "color": PALETTE["soft"],
        "linestyle": "--",
        "linewidth": 1.5,
        "label": limit.name or None,
        "gid": _with_tips(tips, limit.tip),
    }


def _set_ticks(drawn: DrawnAxis, axis: Axis) -> None:
    if axis.ticks is not None:
        drawn.set_ticks(axis.ticks, labels=axis.names)
    elif not axis.log:
        drawn.set_major_locator(
            MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10], integer=axis.whole)
        )
    drawn.set_inverted(axis.falling)


def _name_ends(axes: Axes, every: Sequence[Series]) -> None:
    """Write names beside their lines' ends, as near as they do not overlap."""
    _, high = axes.get_ylim()
    named = sorted(
        (series for series in every if series.end), key=lambda series: series.marks[-1].y
    )
    ends = [series.marks[-1].y for series in named]
    places = spread_out(ends, _NAME_GAP * high, high)
    for series, place in zip(named, places, strict=True):
        colour = PALETTE.get(series.colour, series.colour)
        axes.annotate(
            series.end,
            (series.marks[-1].x, series.marks[-1].y),
            xytext=(1.03, place),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "relpos": (0.0, 0.5)},
            annotation_clip=False,
        )
