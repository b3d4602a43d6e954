"""Figure of a staircase: speed-up over 8 bits against bits, one thin line for each layer."""

from experiments.charts.chart import Axis, Chart, Limit, Mark, Series
from experiments.staircase.layer_steps import LayerSteps
from experiments.staircase.staircase import Staircase

_MOST_NAMES = 24
"""Layers whose names fit one above the other; more are told apart by kind alone."""

_COLOURS = {
    "3x3 convolution": "#0072b2",
    "1x1 convolution": "#d55e00",
    "depthwise": "#009e73",
    "dense": "#cc79a7",
    "other convolution": "#8c6d1f",
}
"""Colours that stay apart without red-green vision. Source: Okabe and Ito 2008, the last darker."""


def speedup_chart(staircase: Staircase) -> Chart:
    """Chart the staircase from 8 bits on the left downwards; what was not timed is left out."""
    layers = [layer for layer in staircase.layers if layer.timed]
    starred = any(layer.reads_input for layer in layers)
    whole = Series(
        marks=tuple(
            Mark(x=width.bits, y=width.speedup, text=f"{width.speedup:.2f}x" if place else "")
            for place, width in enumerate(staircase.summary.widths)
        ),
        colour="ink",
        name="all layers, weighted by time at 8 bits",
        line="straight",
        width=3.5,
    )
    return Chart(
        title=f"{staircase.what} on {staircase.label}",
        x=Axis(
            label="weight and activation bits" + (" (*: weight bits alone)" if starred else ""),
            ticks=staircase.widths,
            falling=True,
        ),
        y=Axis(label="speed-up over 8 bits", from_zero=True),
        series=(
            *(_line(layer, staircase.widths, len(layers) <= _MOST_NAMES) for layer in layers),
            whole,
        ),
        y_limit=Limit(value=1.0),
        width=720.0,
        height=432.0,
    )


def kind_of(layer: LayerSteps) -> str:
    """Return the kind of layer that decides its line's colour."""
    if layer.shape.kind != "convolution":
        return layer.shape.kind
    if layer.shape.is_3x3:
        return "3x3 convolution"
    return "1x1 convolution" if layer.shape.kernel == (1, 1) else "other convolution"


def _line(layer: LayerSteps, widths: tuple[int, ...], named: bool) -> Series:
    kind = kind_of(layer)
    return Series(
        marks=tuple(Mark(x=bits, y=layer.speedup(bits)) for bits in widths),
        colour=_COLOURS[kind],
        name=kind,
        size=4.0,
        line="straight",
        width=1.0,
        end=layer.name + "*" * layer.reads_input if named else "",
    )
