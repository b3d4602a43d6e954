"""Sections of one run's part of the page, in the order they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

from env.evaluating.evaluation import Evaluation
from experiments.charts.front import BEST_ROW, front_chart, uniform_bits
from experiments.charts.layer_times import layer_times_chart
from experiments.charts.learning import evaluation_charts, policy_charts
from experiments.record.run_record import RunRecord
from experiments.report.bits_grid import best_grid, bits_scale, history_grid
from experiments.report.figures import chart_figure, chart_legend
from experiments.report.markup import Markup, element, join
from experiments.report.models_note import models_note
from experiments.report.tables import (
    evaluations_table,
    facts_list,
    islands_table,
    layers_table,
    results_table,
)
from hardware.energy.energy import MODELLED, NO_METER

__all__ = ["banners", "run_sections", "summary_tiles"]


def banners(record: RunRecord) -> list[Markup]:
    """Return what must be known before any number is read."""
    found = []
    others = [source for source in record.sources if source != "measured"]
    for source in others:
        found.append(
            element(
                "p",
                element("strong", source),
                f": the latencies of this run are {source}, not measured. They say nothing about "
                "any device.",
                class_="banner warn",
                role="note",
            )
        )
    if record.energy_source == MODELLED:
        found.append(
            element(
                "p",
                element("strong", MODELLED),
                ": the energies of this run are watts named in its configuration times the time "
                "of a program. No meter was read.",
                class_="banner warn",
                role="note",
            )
        )
    if record.results is None:
        text = (
            f": this run has no results.json. It goes on, or it was stopped; the page shows the "
            f"{len(record.evaluations)} evaluations it has finished."
        )
        found.append(
            element("p", element("strong", "unfinished"), text, class_="banner warn", role="note")
        )
    return found


def summary_tiles(record: RunRecord) -> Markup:
    """Return the best found beside all-8-bit in a few large numbers."""
    rows = {row["name"]: row for row in record.rows}
    best, eight = rows.get(BEST_ROW), rows.get("uniform 8")
    if record.results is None or best is None:
        return join()
    tiles = [
        _tile(
            "accuracy, search split",
            f"{100 * best['accuracy']:.2f} %",
            f"± {100 * best['accuracy_se']:.2f}" + _beside(eight, "accuracy", 100, ".2f", " %"),
        )
    ]
    if best["latency_ms"] is not None:
        tiles.append(
            _tile(
                f"latency, {best['source']}",
                f"{best['latency_ms']:.4f} ms",
                f"IQR {best['latency_iqr_ms']:.4f}" + _beside(eight, "latency_ms", 1, ".4f", " ms"),
            )
        )
    if best.get("energy_mj") is not None:
        modelled = best["energy_source"] == MODELLED
        spread = "modelled" if modelled else f"± {best['energy_error_mj']:.2g}"
        tiles.append(
            _tile(
                f"energy, {best['energy_source']}",
                f"{best['energy_mj']:.4g} mJ",
                spread + _beside(eight, "energy_mj", 1, ".4g", " mJ"),
            )
        )
    bits = f"{best['weight_bits']:.1f} / {best['activation_bits']:.1f}"
    width = None if record.best is None else uniform_bits(record.best)
    shape = "unweighted mean of the layers" if width is None else f"uniform {width} bits"
    size = _beside(eight, "model_bytes", 0.001, ".1f", " kB")
    tiles += [
        _tile("mean bits, weights / activations", bits, shape),
        _tile("model", f"{best['model_bytes'] / 1000:.1f} kB", f"weights and tables{size}"),
    ]
    return element("div", *tiles, class_="tiles")


def run_sections(record: RunRecord) -> list[Markup]:
    """Return every section of one run."""
    chosen = None if record.results is None else record.results["best"]["evaluation"]
    return [
        _section("Accuracy against latency", _front(record), _budget_line(record)),
        _section("Bits of each layer", *_bits(record, chosen)),
        _section("Results", *_results(record), wide=True),
        _section("Learning curves", _learning(record), wide=True),
        _section("Measurements", *_measurements(record.evaluations, chosen), wide=True),
        _section("Layer table of the device", *_layer_table(record), wide=True),
        *_islands(record),
        _section("What was modelled", models_note(record)),
        _section("Machine", *_machine(record)),
        _section("Command and configuration", *_configuration(record), wide=True),
    ]


_SHOWN_LAYERS = 9


def _section(title: str, *content: str, wide: bool = False) -> Markup:
    return element("section", element("h3", title), *content, class_="wide" if wide else None)


def _tile(label: str, value: str, beside: str) -> Markup:
    return element(
        "div",
        element("span", label, class_="what"),
        element("b", value),
        element("span", beside, class_="beside"),
        class_="tile",
    )


def _beside(row: Mapping[str, Any] | None, name: str, factor: float, form: str, unit: str) -> str:
    if row is None or row[name] is None:
        return ""
    return f"; all-8: {factor * row[name]:{form}}{unit}"


def _front(record: RunRecord) -> Markup:
    chart = front_chart(record.evaluations, record.rows, record.budget_ms)
    timed = sum(item.latency_ms is not None for item in record.evaluations)
    if not timed:
        return element("p", "Nothing has been measured yet.", class_="note")
    hidden = sum(len(series.marks) for series in chart.series if series.hollow)
    note = f"{hidden} of {timed} evaluations lie outside and are drawn hollow on the edge. "
    caption = element(
        "figcaption",
        note if hidden else "",
        "Dots: as timed during the search. Diamonds and star: timed again at the end, side "
        "by side; lines are the standard error and the interquartile range."
        if record.rows
        else "As timed during the search.",
    )
    return chart_figure(chart, chart_legend(chart), caption)


def _budget_line(record: RunRecord) -> str:
    budget = record.budget
    if budget is None:
        return ""
    limits = []
    if budget["latency_ms"] is not None:
        limits.append(f"{budget['latency_ms']:.4f} ms")
    if budget["model_bytes"] is not None:
        limits.append(f"{budget['model_bytes']} bytes")
    if budget.get("energy_mj") is not None:
        mark = " (modelled)" if record.energy_source == MODELLED else ""
        limits.append(f"{budget['energy_mj']:.4g} mJ{mark}")
    line = f"Budget: {' and '.join(limits) or 'none'}, {budget['reason']}."
    missed = 0 if record.results is None else len(record.results["missed_the_budget"])
    if missed:
        line += f" Passed over, outside the budget as measured: {missed}."
    return element("p", line, class_="note")


def _bits(record: RunRecord, chosen: int | None) -> list[Markup]:
    parts = []
    if record.best is not None:
        parts += [bits_scale(), best_grid(record.best, record.table)]
    if record.evaluations:
        parts.append(
            element(
                "details",
                element("summary", "Bits of every evaluation"),
                history_grid(record.evaluations, chosen),
                open="",
            )
        )
    return parts or [element("p", "Nothing has been evaluated yet.", class_="note")]


def _results(record: RunRecord) -> list[Markup]:
    if record.results is None:
        return [element("p", "The run has not ended: there is no final table.", class_="note")]
    note = (
        f"Accuracy on the {record.results['split']} split ± standard error; latency: median and "
        "interquartile range, timed side by side. * unstable timing."
    )
    if record.energy_source != NO_METER:
        note += f" Energy of one execution ({record.energy_source}): gross, and net of idling."
    parts = [results_table(record.rows), element("p", note, class_="note")]
    if record.test_results is not None:
        note = (
            "From python -m experiments.evaluate: retrained for "
            f"{record.test_results['steps']} steps, compiled again, measured again. Nothing was "
            "chosen by these numbers."
        )
        parts += [
            element("h4", f"On the {record.test_results['split']} split"),
            results_table(record.test_results["rows"]),
            element("p", note, class_="note"),
        ]
    return parts


def _learning(record: RunRecord) -> Markup:
    charts = [
        *evaluation_charts(record.evaluations, record.budget, record.energy_source),
        *policy_charts(record.curves),
    ]
    if not charts:
        text = "No curves yet: the run has written no TensorBoard events."
        return element("p", text, class_="note")
    return _grid(
        [chart_figure(chart, chart_legend(chart), heading=chart.title) for chart in charts]
    )


def _grid(figures: Sequence[Markup]) -> Markup:
    return element("div", *figures, class_="figures")


def _measurements(evaluations: Sequence[Evaluation], chosen: int | None) -> list[Markup]:
    if not evaluations:
        return [element("p", "Nothing has been measured yet.", class_="note")]
    measured = [item.measurement for item in evaluations if item.measurement is not None]
    stable = sum(item.verdict.stable for item in measured)
    failed = sum(bool(item.error) for item in evaluations)
    text = f"{stable} of {len(measured)} timings are stable"
    text += f"; {failed} failed." if failed else "."
    if stable < len(measured):
        text += " An unstable one is kept and marked: the reason is in its line."
    table = evaluations_table(evaluations, chosen)
    return [element("p", text, class_="note"), table]


def _layer_table(record: RunRecord) -> list[Markup]:
    table = record.table
    if table is None:
        return [element("p", "The layers have not been timed yet.", class_="note")]
    text = (
        f"Microseconds of each layer at each pair of bits ({table.source}). What no layer accounts "
        f"for takes {table.overhead_us:.2f} µs. Disturbed timings: {table.disturbed_share:.0%}."
    )
    chosen = {} if record.best is None else dict(record.best.items)
    charts = [
        (name, layer_times_chart(name, times, chosen.get(name)))
        for name, times in table.times_us.items()
    ]
    figures = [chart_figure(chart, heading=name) for name, chart in charts]
    shown, others = figures[:_SHOWN_LAYERS], figures[_SHOWN_LAYERS:]
    legend = chart_legend(*(chart for _, chart in charts))
    parts = [element("p", text, class_="note"), _grid(shown), legend]
    if others:
        summary = element("summary", f"{len(others)} more layers")
        parts.append(element("details", summary, _grid(others)))
    numbers = layers_table(table.times_us)
    parts.append(element("details", element("summary", "All numbers"), numbers))
    if table.has_energies:
        title = element("summary", f"Microjoules ({table.energy_source})")
        parts.append(element("details", title, layers_table(table.energies_uj)))
    return parts


def _islands(record: RunRecord) -> list[Markup]:
    """Return the section of what stays in float, where anything does."""
    if not record.islands:
        return []
    note = (
        "These operators have no integer form. They run in float32 whatever the bits are, the way "
        "into and out of float included, and retraining leaves them as they are."
    )
    table = islands_table(record.islands)
    return [_section("Float islands", element("p", note, class_="note"), table, wide=True)]


def _machine(record: RunRecord) -> list[Markup]:
    facts = dict(record.environment)
    if not facts:
        return [element("p", "The run has not written environment.json.", class_="note")]
    device = facts.pop("device", {})
    packages = facts.pop("packages", [])
    listed = element("pre", "\n".join(packages))
    return [
        facts_list(device),
        facts_list(facts),
        element("details", element("summary", f"{len(packages)} packages"), listed),
    ]


def _configuration(record: RunRecord) -> list[Markup]:
    return [
        element("pre", record.command or "(no command.txt)"),
        element(
            "details",
            element("summary", "config.yaml, every value"),
            element("pre", record.config_text),
        ),
    ]
