"""Bits grid: the bits of each layer as coloured cells, of the best and over the whole search."""

from collections.abc import Sequence

from env.evaluating.evaluation import Evaluation
from experiments.charts.bits import bits_matrix
from experiments.report.markup import Markup, element, join
from experiments.report.tables import scrolling_table
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS

__all__ = ["best_grid", "bits_scale", "history_grid"]


def best_grid(allocation: Allocation, table: LayerTable | None) -> Markup:
    """Return one line for each layer: weight bits, activation bits, its time beside all-8's."""
    head = ["layer", "weights", "activations"]
    mean = ["mean", *(f"{value:.2f}" for value in allocation.mean_bits())]
    if table is not None:
        head += ["µs", "µs at 8/8"]
        mean += ["", ""]
    lines = []
    for name, bits in allocation.items:
        pair = (bits.weight_bits, bits.activation_bits)
        cells = [*map(_cell, pair)]
        if table is not None:
            times = table.times_us.get(name, {})
            found = (times.get(pair), times.get((MAX_BITS, MAX_BITS)))
            cells += [element("td", "-" if us is None else f"{us:.2f}") for us in found]
        lines.append(element("tr", element("th", name, scope="row"), *cells))
    first, *others = mean
    foot = element(
        "tr", element("th", first, scope="row"), *(element("td", text) for text in others)
    )
    return scrolling_table(head, lines, "bits", foot)


def history_grid(evaluations: Sequence[Evaluation], chosen: int | None) -> Markup:
    """Return the bits of every evaluation: a column each, two lines for each layer.

    Args:
        evaluations: In order; all of one network.
        chosen: Index of the evaluation that was chosen, to be marked.
    """
    names = [name for name, _ in evaluations[0].allocation.items]
    head = ["", "", *("★" if item.index == chosen else str(item.index + 1) for item in evaluations)]
    matrices = [bits_matrix(item.allocation) for item in evaluations]
    lines = []
    for place, name in enumerate(names):
        title = element("th", name, scope="rowgroup", rowspan="2")
        for kind, before in enumerate((title, join())):
            cells = [_cell(int(matrix[kind, place])) for matrix in matrices]
            lines.append(element("tr", before, element("th", "wa"[kind], scope="row"), *cells))
    return scrolling_table(head, lines, "bits history")


def bits_scale() -> Markup:
    """Return the legend of the cells' colours."""
    cells = [element("i", str(bits), class_=f"b{bits}") for bits in range(MIN_BITS, MAX_BITS + 1)]
    return element("div", element("span", "bits"), *cells, class_="scale")


def _cell(bits: int) -> Markup:
    return element("td", str(bits), class_=f"b{bits}")
