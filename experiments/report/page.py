"""Page: runs as one HTML document that loads nothing."""

from collections.abc import Sequence
from importlib.resources import files

from experiments.charts.front import joint_chart
from experiments.record.run_record import RunRecord
from experiments.report.figures import chart_figure, chart_legend
from experiments.report.markup import Markup, element, join
from experiments.report.sections import banners, run_sections, summary_tiles
from experiments.report.tables import results_table

__all__ = ["render"]


def render(records: Sequence[RunRecord]) -> str:
    """Return the page of one or more runs; several have a joint plot and table before them."""
    parts = [_joint(records)] if len(records) > 1 else []
    parts += [_run(record, number) for number, record in enumerate(records)]
    title = records[0].name if len(records) == 1 else f"{len(records)} runs"
    style = (files("experiments.report") / "page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        # An empty icon: without one a browser asks the server for /favicon.ico.
        Markup('<link rel="icon" href="data:,">'),
        element("title", f"{title} · BitAlloc"),
        element("style", Markup(style)),
    )
    body = element("body", element("main", *parts), element("footer", _FOOTER))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


_FOOTER = (
    "Made by python -m experiments.report. Point at a mark, or press on it, to read its values."
)


def _run(record: RunRecord, number: int) -> Markup:
    return element(
        "article",
        element(
            "header",
            element("h2", _heading(record)),
            element("p", *_chips(record), class_="chips"),
            element("p", record.name, class_="folder"),
        ),
        *banners(record),
        summary_tiles(record),
        element("div", *run_sections(record), class_="sections"),
        id=f"run{number}",
    )


def _heading(record: RunRecord) -> str:
    task = record.config.get("task")
    name = task.get("name") if isinstance(task, dict) else None
    device = record.environment.get("device")
    cpu = device.get("cpu") if isinstance(device, dict) else None
    return f"{name or 'run'} on {cpu or 'an unknown device'}"


def _chips(record: RunRecord) -> list[Markup]:
    chips = [
        element("span", source, class_=f"chip {'good' if source == 'measured' else 'warn'}")
        for source in record.sources
    ]
    texts = [
        f"method {record.config.get('method', '?')}",
        f"seed {record.config.get('seed', '?')}",
        _count(record),
    ]
    if record.results is not None:
        texts.append(f"{record.results['seconds'] / 60:.1f} min")
    if "time" in record.environment:
        texts.append(str(record.environment["time"])[:16].replace("T", " "))
    return chips + [element("span", text, class_="chip") for text in texts]


def _count(record: RunRecord) -> str:
    """Return evaluations used of the limit; those only the final table needed are beyond it."""
    beyond = sum(item.proposer == "table" for item in record.evaluations)
    used = len(record.evaluations) - beyond
    text = f"{used} of {record.config.get('evaluations', '?')} evaluations"
    return f"{text}, {beyond} more for the table" if beyond else text


def _joint(records: Sequence[RunRecord]) -> Markup:
    links = [
        element("li", element("a", record.name, href=f"#run{number}"))
        for number, record in enumerate(records)
    ]
    rows = [
        {**row, "name": f"{record.name}: {row['name']}"}
        for record in records
        for row in record.rows[-1:]
    ]
    table = results_table(rows) if rows else element("p", "No run has ended yet.", class_="note")
    return element(
        "article",
        element("header", element("h2", f"{len(records)} runs"), element("ul", *links)),
        *_mixed(records),
        element(
            "div",
            element("section", element("h3", "Fronts"), _fronts(records)),
            element("section", element("h3", "Best of each run"), table),
            class_="sections",
        ),
    )


def _fronts(records: Sequence[RunRecord]) -> Markup:
    chart = joint_chart([(record.name, record.evaluations) for record in records])
    if not any(series.marks for series in chart.series):
        return element("p", "Nothing has been measured in any of the runs.", class_="note")
    caption = "What no other evaluation of the same run beats, as timed during its search."
    return chart_figure(chart, chart_legend(chart), element("figcaption", caption))


def _mixed(records: Sequence[RunRecord]) -> list[Markup]:
    """Warn where times of different devices or sources stand in one plot."""
    origins = {(record.sources, _heading(record)) for record in records}
    if len(origins) < 2:
        return []
    text = "These runs differ in device, task or source: their numbers cannot be compared as such."
    return [element("p", join(text), class_="banner warn", role="note")]
