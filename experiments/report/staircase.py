"""Staircase: the layer table as one small chart for each layer, microseconds against bits."""

from collections.abc import Mapping

from experiments.report.markup import Markup, element, join
from experiments.report.plot import Axis, Plot
from hardware.layers.table import LayerTable, PairTable
from quant.allocation import Allocation

__all__ = ["staircase_legend", "staircases", "table_of_layers"]

_HEIGHT = 200.0
_SHOWN_LINES = 3


def staircases(table: LayerTable, best: Allocation | None) -> list[Markup]:
    """Draw each layer: a line for some activation bits over the weight bits, the best's a star."""
    chosen = {} if best is None else dict(best.items)
    figures = []
    for name, times in table.times_us.items():
        widths = sorted({weight for weight, _ in times})
        plot = Plot(
            title=f"Microseconds of {name}",
            height=_HEIGHT,
            x=Axis(
                label="weight bits",
                low=min(widths) - 0.4,
                high=max(widths) + 0.4,
                ticks=[float(width) for width in widths],
            ),
            y=Axis.around("µs", [0.0, *times.values()], margin=0.05),
        )
        plot.y = Axis(label="µs", low=0.0, high=plot.y.high)
        for activation in _lines(times):
            _draw(plot, times, activation)
        if name in chosen:
            pair = (chosen[name].weight_bits, chosen[name].activation_bits)
            if pair in times:
                tip = f"chosen: {pair[0]}/{pair[1]} bits, {times[pair]:.2f} µs"
                plot.dot(float(pair[0]), times[pair], "chosen", tip, radius=5.5)
        figures.append(element("figure", element("h4", name), plot.svg()))
    return figures


def staircase_legend(table: LayerTable) -> Markup:
    """Return the one legend of all staircases."""
    widths = {bits for times in table.times_us.values() for bits in _lines(times)}
    keys = [
        element("span", element("i", class_=f"key rule l{bits}"), f"{bits}-bit activations")
        for bits in sorted(widths)
    ]
    keys.append(element("span", element("i", class_="key chosen"), "chosen"))
    return element("div", *keys, class_="legend")


def table_of_layers(values: PairTable[float]) -> Markup:
    """Return every number of a table of layers: lines are layers, columns are bit pairs."""
    pairs = sorted({pair for row in values.values() for pair in row})
    head = [element("th", "layer", scope="col")]
    head += [element("th", f"{weight}/{activation}", scope="col") for weight, activation in pairs]
    lines = []
    for name, row in values.items():
        cells = [f"{row[pair]:.2f}" if pair in row else "" for pair in pairs]
        title = element("th", name, scope="row")
        lines.append(element("tr", title, *(element("td", text) for text in cells)))
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *head)),
            element("tbody", join(*lines)),
        ),
        class_="scroll",
    )


def _draw(plot: Plot, times: Mapping[tuple[int, int], float], activation: int) -> None:
    points = sorted((w, us) for (w, a), us in times.items() if a == activation)
    places = [(float(weight), us) for weight, us in points]
    if len(places) > 1:
        plot.line(places, f"l{activation}", f"{activation}-bit activations")
    for weight, us in points:
        plot.dot(
            float(weight), us, f"l{activation}", f"{weight}/{activation} bits\n{us:.2f} µs", 2.5
        )


def _lines(times: Mapping[tuple[int, int], float]) -> list[int]:
    """Return the lowest, a middle and the highest activation bits: more would hide each other."""
    ordered = sorted({activation for _, activation in times})
    if len(ordered) <= _SHOWN_LINES:
        return ordered
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
