"""Tables of a page: the final results, the verdicts of the measurements, and plain facts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from env.evaluating.evaluation import Evaluation
from experiments.charts.front import BEST_ROW, uniform_bits
from experiments.record.islands import ListedIsland
from experiments.report.markup import Markup, element, join
from hardware.energy.energy import MODELLED, NO_METER
from hardware.layers.table import PairTable

__all__ = [
    "evaluations_table",
    "facts_list",
    "islands_table",
    "layers_table",
    "results_table",
    "scrolling_table",
]


def results_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the rows of `results.json` or `evaluate.json` with their spreads."""
    head = ["", "accuracy %", "latency ms", "IQR ms", "bytes", "bits w/a", "inside", "source"]
    metered = _metered(row.get("energy_source", NO_METER) for row in rows)
    if metered:
        head[4:4] = [metered, "net mJ"]
    lines = []
    for row in rows:
        cells = [
            element("th", row["name"], scope="row"),
            element("td", f"{100 * row['accuracy']:.2f} ± {100 * row['accuracy_se']:.2f}"),
            element("td", _number(row["latency_ms"]), _unstable(row["verdict"])),
            element("td", _number(row["latency_iqr_ms"])),
            element("td", f"{row['model_bytes']:,}".replace(",", "\u202f")),
            element("td", _bits(row)),
            element("td", *_inside(row["inside_budget"])),
            element("td", row["source"] or "-", class_="text"),
        ]
        if metered:
            cells[4:4] = _energy_cells(row)
        kind = "chosen" if row["name"] == BEST_ROW else None
        lines.append(element("tr", *cells, class_=kind))
    return scrolling_table(head, lines, "results")


def evaluations_table(evaluations: Sequence[Evaluation], chosen: int | None) -> Markup:
    """Return every evaluation with the verdict on its timing, and why."""
    head = ["#", "asked by", "bits", "accuracy %", "latency ms", "IQR ms", "verdict"]
    metered = _metered(item.measurement.energy_source for item in evaluations if item.measurement)
    if metered:
        head[6:6] = [metered]
    lines = []
    for item in evaluations:
        width = uniform_bits(item.allocation)
        means = "/".join(f"{mean:.1f}" for mean in item.allocation.mean_bits())
        measured = item.measurement
        cells = [
            element("th", f"{item.index + 1}", scope="row"),
            element("td", item.proposer, class_="text"),
            element("td", means if width is None else f"all {width}"),
            element("td", f"{100 * item.accuracy:.2f} ± {100 * item.accuracy_se:.2f}"),
            element("td", _number(item.latency_ms)),
            element("td", _number(None if measured is None else measured.iqr_ms)),
            element("td", *_verdict(item), class_="text verdict"),
        ]
        if metered:
            cells[6:6] = [element("td", _four(item.energy_mj))]
        kind = "chosen" if item.index == chosen else None
        lines.append(element("tr", *cells, class_=kind))
    return scrolling_table(head, lines, "evaluations")


def islands_table(islands: Sequence[ListedIsland]) -> Markup:
    """Return what stays in float, why, and its share of the time at 8 bits."""
    lines = [
        element(
            "tr",
            element("th", island.name, scope="row"),
            element("td", ", ".join(island.operators), class_="text"),
            element("td", "-" if island.us is None else f"{island.us:.2f}"),
            element("td", island.percent),
            element("td", island.reason, class_="text verdict"),
        )
        for island in islands
    ]
    head = ["island", "operators", "µs", "of the time at 8 bits", "reason"]
    return scrolling_table(head, lines, "islands")


def layers_table(values: PairTable[float]) -> Markup:
    """Return every number of a table of layers: lines are layers, columns are bit pairs."""
    pairs = sorted({pair for row in values.values() for pair in row})
    lines = []
    for name, row in values.items():
        cells = [element("td", f"{row[pair]:.2f}" if pair in row else "") for pair in pairs]
        lines.append(element("tr", element("th", name, scope="row"), *cells))
    head = ["layer", *(f"{weight}/{activation}" for weight, activation in pairs)]
    return scrolling_table(head, lines, "layers")


def facts_list(facts: Mapping[str, Any]) -> Markup:
    """Return names and values; lists with commas, mappings as `name value` pairs."""
    parts = []
    for name, value in facts.items():
        parts += [element("dt", name.replace("_", " ")), element("dd", _plain(value))]
    return element("dl", *parts)


_TEXTS = ("asked by", "verdict", "source", "operators", "reason")
"""Columns of words; all others are numbers and end at the right."""


def scrolling_table(
    head: Sequence[str], lines: Sequence[Markup], kind: str, foot: Markup | None = None
) -> Markup:
    """Return a table that scrolls sideways where it is wider than the page."""
    columns = [
        element("th", text, scope="col", class_="text" if text in _TEXTS else None) for text in head
    ]
    parts = [element("thead", element("tr", *columns)), element("tbody", join(*lines))]
    if foot is not None:
        parts.append(element("tfoot", foot))
    return element("div", element("table", *parts, class_=kind), class_="scroll")


def _metered(sources: Iterable[str]) -> str:
    """Return the heading of a column of energies; empty where there is no meter."""
    found = set(sources) - {NO_METER}
    if not found:
        return ""
    return "mJ (modelled)" if MODELLED in found else "mJ"


def _energy_cells(row: Mapping[str, Any]) -> list[Markup]:
    gross = _four(row["energy_mj"])
    if row["energy_mj"] is not None and row["energy_source"] != MODELLED:
        gross += f" ± {row['energy_error_mj']:.2g}"
    return [element("td", gross), element("td", _four(row["energy_net_mj"]))]


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _bits(row: Mapping[str, Any]) -> str:
    if row["weight_bits"] is None:
        return "32/32"
    return f"{row['weight_bits']:.1f}/{row['activation_bits']:.1f}"


def _inside(inside: bool | None) -> tuple[str, ...]:
    if inside is None:
        return ("-",)
    return (element("span", "yes" if inside else "no", class_="good" if inside else "bad"),)


def _unstable(verdict: str) -> str:
    if not verdict.startswith("unstable"):
        return ""
    return element("abbr", "*", title=verdict, class_="warn")


def _verdict(item: Evaluation) -> tuple[str, ...]:
    if item.error:
        return element("span", "failed", class_="bad"), ": ", item.error
    if item.measurement is None:
        return ("-",)
    verdict = item.measurement.verdict
    stored = "; timed before, from the store" if item.cached else ""
    if verdict.stable:
        return element("span", "stable", class_="good"), stored
    return element("span", "unstable", class_="warn"), ": ", "; ".join(verdict.reasons), stored


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
