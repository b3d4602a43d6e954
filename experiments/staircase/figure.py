"""Figure of a staircase: speed-up over 8 bits against bits, one thin line for each layer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.staircase.staircase import Staircase
from experiments.staircase.steps import LayerSteps

__all__ = ["draw_figure", "kind_of", "spread_out"]

_MOST_NAMES = 24
"""Layers whose names fit one above the other; more are told apart by kind alone."""
_NAME_GAP = 0.038
"""Least distance of two names, as a share of the axes' height."""

_COLOURS = {
    "3x3 convolution": "#0072b2",
    "1x1 convolution": "#d55e00",
    "depthwise": "#009e73",
    "dense": "#cc79a7",
    "other convolution": "#8c6d1f",
}
"""Colours that stay apart without red-green vision. Source: Okabe and Ito 2008, the last darker."""


def draw_figure(staircase: Staircase) -> Figure:
    """Draw the staircase from 8 bits on the left downwards; what was not timed is left out."""
    layers = [layer for layer in staircase.layers if layer.timed]
    figure = Figure(figsize=(10.0, 6.0), layout="constrained")
    axes = figure.subplots()
    _draw_layers(axes, layers, staircase.widths)
    _draw_whole(axes, staircase)
    axes.axhline(1.0, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_ylim(0.0, 1.06 * axes.get_ylim()[1])  # room for the labels of the highest points
    axes.set_xticks(staircase.widths)
    axes.set_xlim(staircase.widths[0] + 0.3, staircase.widths[-1] - 0.3)
    starred = any(layer.reads_input for layer in layers)
    axes.set_xlabel("weight and activation bits" + (" (*: weight bits alone)" if starred else ""))
    axes.set_ylabel("speed-up over 8 bits")
    axes.set_title(f"{staircase.what} on {staircase.label}", fontsize=11)
    axes.grid(axis="y", color="0.9")
    axes.legend(fontsize=9, loc="lower right")
    if len(layers) <= _MOST_NAMES:
        _name_lines(axes, layers, staircase.widths[-1])
    return figure


def kind_of(layer: LayerSteps) -> str:
    """Return the kind of layer that decides its line's colour."""
    if layer.shape.kind != "convolution":
        return layer.shape.kind
    if layer.shape.is_3x3:
        return "3x3 convolution"
    return "1x1 convolution" if layer.shape.kernel == (1, 1) else "other convolution"


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


def _draw_layers(axes: Axes, layers: Sequence[LayerSteps], widths: Sequence[int]) -> None:
    shown: set[str] = set()
    for layer in layers:
        kind = kind_of(layer)
        axes.plot(
            widths,
            [layer.speedup(bits) for bits in widths],
            color=_COLOURS[kind],
            linewidth=1.0,
            marker=".",
            label=None if kind in shown else kind,
        )
        shown.add(kind)


def _draw_whole(axes: Axes, staircase: Staircase) -> None:
    widths = staircase.summary.widths
    axes.plot(
        [width.bits for width in widths],
        [width.speedup for width in widths],
        color="black",
        linewidth=3.5,
        marker="o",
        label="all layers, weighted by time at 8 bits",
    )
    for width in widths[1:]:
        axes.annotate(
            f"{width.speedup:.2f}x",
            (width.bits, width.speedup),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=11,
            fontweight="bold",
            zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
        )


def _name_lines(axes: Axes, layers: Sequence[LayerSteps], narrowest: int) -> None:
    """Write each layer's name beside its line's end, as near as names do not overlap."""
    _, high = axes.get_ylim()
    ordered = sorted(layers, key=lambda layer: layer.speedup(narrowest))
    ends = [layer.speedup(narrowest) for layer in ordered]
    for layer, end, place in zip(
        ordered, ends, spread_out(ends, _NAME_GAP * high, high), strict=True
    ):
        axes.annotate(
            layer.name + ("*" if layer.reads_input else ""),
            (narrowest, end),
            xytext=(1.03, place),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=_COLOURS[kind_of(layer)],
            arrowprops={
                "arrowstyle": "-",
                "color": _COLOURS[kind_of(layer)],
                "lw": 0.5,
                "relpos": (0.0, 0.5),
            },
            annotation_clip=False,
        )
