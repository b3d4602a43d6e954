"""Figures: charts as elements of the page, with their legends."""

from experiments.charts.chart import Chart
from experiments.charts.svg import chart_svg
from experiments.report.markup import Markup, element

__all__ = ["chart_figure", "chart_legend"]

_KEYS = {"": "―", "o": "●", "D": "◆", "*": "★"}
"""What stands for a marker in a legend."""


def chart_figure(chart: Chart, *parts: Markup, heading: str = "") -> Markup:
    """Return a chart under a heading, and what is said below it."""
    above = [element("h4", heading)] if heading else []
    return element("figure", *above, Markup(chart_svg(chart)), *parts)


def chart_legend(*charts: Chart) -> Markup:
    """Return the one legend of some charts."""
    keys: dict[str, tuple[str, str]] = {}
    for chart in charts:
        keys |= {item.name: (item.colour, _KEYS[item.marker]) for item in chart.series}
        limits = [limit for limit in (chart.x_limit, chart.y_limit) if limit is not None]
        keys |= {limit.name: ("soft", "┅") for limit in limits}
    keys.pop("", None)
    spans = [
        element("span", element("i", key, style=f"color: var(--{colour})"), name)
        for name, (colour, key) in keys.items()
    ]
    return element("div", *spans, class_="legend")
