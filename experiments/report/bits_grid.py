"""Bits grid: the bits of each layer as coloured cells, of the best and over the whole search."""

from collections.abc import Sequence

from env.evaluating.evaluation import Evaluation
from experiments.report.markup import Markup, element
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS

__all__ = ["best_grid", "bits_scale", "history_grid"]


def best_grid(allocation: Allocation, table: LayerTable | None) -> Markup:
    """Return one line for each layer: weight bits, activation bits, its time beside all-8's."""
    head = ["layer", "weights", "activations"]
    if table is not None:
        head += ["µs", "µs at 8/8"]
    lines = []
    for name, bits in allocation.items:
        cells = [
            element("th", name, scope="row"),
            _cell(bits.weight_bits),
            _cell(bits.activation_bits),
        ]
        if table is not None:
            cells += [
                element("td", _layer_us(table, name, bits.weight_bits, bits.activation_bits)),
                element("td", _layer_us(table, name, MAX_BITS, MAX_BITS)),
            ]
        lines.append(element("tr", *cells))
    weights, activations = allocation.mean_bits()
    mean = [element("th", "mean", scope="row")]
    mean += [element("td", f"{value:.2f}") for value in (weights, activations)]
    mean += [element("td", "") for _ in head[3:]]
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *(element("th", text, scope="col") for text in head))),
            element("tbody", *lines),
            element("tfoot", element("tr", *mean)),
            class_="bits",
        ),
        class_="scroll",
    )


def history_grid(evaluations: Sequence[Evaluation], chosen: int | None) -> Markup:
    """Return the bits of every evaluation: a column each, two lines for each layer.

    Args:
        evaluations: In order; all of one network.
        chosen: Index of the evaluation that was chosen, to be marked.
    """
    names = [name for name, _ in evaluations[0].allocation.items]
    head = [element("th", "", scope="col"), element("th", "", scope="col")]
    for item in evaluations:
        mark = "★" if item.index == chosen else str(item.index + 1)
        head.append(element("th", mark, scope="col", title=f"evaluation {item.index + 1}"))
    lines = []
    for place, name in enumerate(names):
        pairs = [item.allocation.items[place][1] for item in evaluations]
        weights = [_cell(bits.weight_bits) for bits in pairs]
        activations = [_cell(bits.activation_bits) for bits in pairs]
        title = element("th", name, scope="rowgroup", rowspan="2")
        lines.append(element("tr", title, element("th", "w", scope="row"), *weights))
        lines.append(element("tr", element("th", "a", scope="row"), *activations))
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *head)),
            element("tbody", *lines),
            class_="bits history",
        ),
        class_="scroll",
    )


def bits_scale() -> Markup:
    """Return the legend of the cells' colours."""
    cells = [element("i", str(bits), class_=f"b{bits}") for bits in range(MIN_BITS, MAX_BITS + 1)]
    return element("div", element("span", "bits"), *cells, class_="scale")


def _cell(bits: int) -> Markup:
    return element("td", str(bits), class_=f"b{bits}")


def _layer_us(table: LayerTable, layer: str, weight_bits: int, activation_bits: int) -> str:
    value = table.times_us.get(layer, {}).get((weight_bits, activation_bits))
    return "-" if value is None else f"{value:.2f}"
