"""Page: runs as one HTML document that loads nothing. `page.html` has its text."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from experiments.charts.chart import Chart
from experiments.charts.front import BEST_ROW, front_chart, joint_chart, uniform_bits
from experiments.charts.layer_times import layer_times_chart
from experiments.charts.learning import evaluation_charts, policy_charts
from experiments.charts.svg import chart_svg
from experiments.record.run_record import RunRecord
from hardware.energy.energy import MODELLED, NO_METER
from hardware.layers.table import PairTable
from quant.layers import FLOAT_BITS, width_name
from quant.objective.metric import ACCURACY

_SHOWN_LAYERS = 9
_KEYS = {"": "―", "o": "●", "D": "◆", "*": "★"}
"""What stands for a marker in a legend."""


def render(records: Sequence[RunRecord]) -> str:
    """Return the page of one or more runs; several have a joint chart and table before them."""
    return (
        _pages()
        .get_template("page.html")
        .render(
            views=[_view(record) for record in records],
            fronts=joint_chart([(record.name, record.evaluations) for record in records]),
            best_rows=[
                {**row, "name": f"{record.name}: {row['name']}"}
                for record in records
                for row in record.rows[-1:]
            ],
        )
    )


def render_article(record: RunRecord) -> Markup:
    """Return what the page of one run has of it, to stand in another page with `page_style`."""
    module: Any = _pages().get_template("article.html").module
    return Markup(module.article(_view(record), 0))


def page_style() -> str:
    """Return the style of the page."""
    return _pages().get_template("page.css").render()


def page_templates(package: str) -> Environment:
    """Return a package's templates, in which every text is escaped and every name must be there."""
    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _pages() -> Environment:
    """Return the templates, which take as long to compile as a page to fill."""
    pages = page_templates("experiments.report")
    pages.filters |= {"digits": _digits, "plain": _plain, "without": _without, "width": width_name}
    pages.globals |= {
        "BEST_ROW": BEST_ROW,
        "FLOAT_BITS": FLOAT_BITS,
        "MODELLED": MODELLED,
        "NO_METER": NO_METER,
        "SHOWN_LAYERS": _SHOWN_LAYERS,
        "any_in_float": lambda evaluations: any(e.allocation.in_float for e in evaluations),
        "beside": _beside,
        "legend_keys": _legend_keys,
        "median": statistics.median,
        "metered": _energy_heading,
        "pairs_of": _pairs_of,
        "svg": lambda chart: Markup(chart_svg(chart)),
        "uniform_bits": uniform_bits,
    }
    return pages


def _view(record: RunRecord) -> dict[str, Any]:
    """Return what the page needs of a run beside its record."""
    chosen = {} if record.best is None else dict(record.best.items)
    times = {} if record.table is None else record.table.times_us
    metric = record.evaluations[0].metric if record.evaluations else ACCURACY
    front = front_chart(record.evaluations, record.rows, record.budget_ms)
    heading = _heading(record)
    return {
        "record": record,
        "heading": heading,
        "origin": (record.sources, heading),
        "chips": _chips(record),
        "rows_by_name": {row["name"]: row for row in record.rows},
        "front": front,
        "metric": metric,
        "timed": sum(item.latency_ms is not None for item in record.evaluations),
        "hidden": sum(len(series.marks) for series in front.series if series.hollow),
        "learning": [
            *evaluation_charts(record.evaluations, record.budget, record.energy_source),
            *policy_charts(record.curves, metric),
        ],
        "layers": [layer_times_chart(name, row, chosen.get(name)) for name, row in times.items()],
    }


def _heading(record: RunRecord) -> str:
    task = record.config.get("task")
    name = task.get("name") if isinstance(task, dict) else None
    device = record.environment.get("device")
    cpu = device.get("cpu") if isinstance(device, dict) else None
    return f"{name or 'run'} on {cpu or 'an unknown device'}"


def _chips(record: RunRecord) -> list[str]:
    # Evaluations that only the final table needed are beyond the limit.
    beyond = sum(item.proposer == "table" for item in record.evaluations)
    used = len(record.evaluations) - beyond
    count = f"{used} of {record.config.get('evaluations', '?')} evaluations"
    chips = [
        f"method {record.config.get('method', '?')}",
        f"seed {record.config.get('seed', '?')}",
        f"{count}, {beyond} more for the table" if beyond else count,
    ]
    if record.results is not None:
        chips.append(f"{record.results['seconds'] / 60:.1f} min")
    if "time" in record.environment:
        chips.append(str(record.environment["time"])[:16].replace("T", " "))
    return chips


def _legend_keys(charts: Sequence[Chart]) -> dict[str, tuple[str, str]]:
    """Return colour and sign of everything that some charts name."""
    keys: dict[str, tuple[str, str]] = {}
    for chart in charts:
        keys |= {item.name: (item.colour, _KEYS[item.marker]) for item in chart.series}
        limits = [limit for limit in (chart.x_limit, chart.y_limit) if limit is not None]
        keys |= {limit.name: ("soft", "┅") for limit in limits}
    keys.pop("", None)
    return dict(sorted(keys.items(), key=lambda key: _bits_named(key[0])))


def _bits_named(name: str) -> float:
    """Return the number that a name begins with; other names come last, in the order they have."""
    digits = re.match(r"\d+", name)
    return float(digits[0]) if digits else math.inf


def _digits(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _beside(row: Mapping[str, Any] | None, name: str, form: str, factor: float = 1.0) -> str:
    """Return a figure of all-8, to stand beside that of the best."""
    if row is None or row[name] is None:
        return ""
    return f"; all-8: {form.format(factor * row[name])}"


def _energy_heading(sources: Iterable[str]) -> str:
    """Return the heading of a column of energies; empty where there is no meter."""
    found = set(sources) - {NO_METER}
    if not found:
        return ""
    return "mJ (modelled)" if MODELLED in found else "mJ"


def _pairs_of(values: PairTable[float]) -> list[tuple[int, int]]:
    return sorted({pair for row in values.values() for pair in row})


def _without(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}


def _plain(value: Any) -> str:
    """Return lists with commas, and mappings as `name value` pairs."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
