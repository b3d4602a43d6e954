"""Charts as drawings: what is on the axes, and the SVG of a page."""

import math
import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from experiments.charts.chart import PALETTE, Axis, Chart, Limit, Mark, Series
from experiments.charts.draw import draw_chart
from experiments.charts.svg import chart_svg

HOSTILE = '"><script>alert(1)</script>&amp; #0b62c4 0.12345'


def chart_of(*points: tuple[float, float], label: str = "x") -> Chart:
    marks = tuple(Mark(x=x, y=y, tip=f"{x} and\n{y}") for x, y in points)
    series = Series(marks=marks, colour="blue", name="dots")
    return Chart(title="A chart", x=Axis(label=label), y=Axis(label="y (ms)"), series=(series,))


def drawn(chart: Chart) -> Axes:
    return draw_chart(chart).axes[0]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0689, 0.1234), (99.1, 99.2), (-3, 1e6)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    axis = drawn(chart_of((low, low), (high, high))).yaxis
    bottom, top = axis.get_view_interval()
    ticks = [tick for tick in axis.get_majorticklocs() if bottom <= tick <= top]
    assert 3 <= len(ticks) <= 7
    assert bottom <= low < high <= top
    step = ticks[1] - ticks[0]
    assert round(step / 10 ** math.floor(math.log10(step)), 6) in (1.0, 2.0, 2.5, 5.0, 10.0)
    labels = axis.get_major_formatter().format_ticks(ticks)
    assert all(len(text) < 10 for text in labels)


def test_equal_values_still_have_an_axis() -> None:
    bottom, top = drawn(chart_of((0.0, 0.0))).get_ylim()
    assert bottom < 0.0 < top


def test_an_axis_says_its_unit_and_holds_the_limit() -> None:
    chart = chart_of((1.0, 1.0), (2.0, 2.0), label="latency (ms)")
    limited = Chart(
        title=chart.title,
        x=chart.x,
        y=chart.y,
        series=chart.series,
        x_limit=Limit(value=5.0, name="budget", tip="budget: 5 ms"),
    )
    axes = drawn(limited)
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("latency (ms)", "y (ms)")
    assert axes.get_xlim()[1] > 5.0
    assert "budget: 5 ms" in chart_svg(limited)


def test_what_is_no_number_is_not_drawn() -> None:
    svg = chart_svg(chart_of((1.0, 1.0), (math.nan, 2.0), (3.0, math.inf), (2.0, 2.0)))
    assert svg.count("<title>") == 2
    assert "nan" not in svg


def test_the_same_chart_is_the_same_text() -> None:
    chart = chart_of((1.0, 2.0), (3.0, 4.0))
    assert chart_svg(chart) == chart_svg(chart)


def test_an_svg_scales_has_tips_and_a_name_and_loads_nothing() -> None:
    text = chart_svg(chart_of((1.0, 2.0), (3.0, 4.0)))
    root = ElementTree.fromstring(text)
    assert root.attrib == {
        "viewBox": "0 0 360 250",
        "class": "plot",
        "role": "img",
        "aria-label": "A chart",
    }
    assert [item.text for item in root.iter("title")] == ["1.0 and\n2.0", "3.0 and\n4.0"]
    assert not re.search(r"https?://|url\(|<style|<image", text)
    known = {item.get("id") for item in root.iter() if item.get("id")}
    assert {item.get("href") for item in root.iter("use")} == {f"#{name}" for name in known}


def test_colours_of_an_svg_are_the_pages() -> None:
    text = chart_svg(chart_of((1.0, 2.0), (3.0, 4.0)))
    assert "var(--blue)" in text
    assert not re.search('#[0-9a-f]{6}[;"]', text)
    style = (files("experiments.report") / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)[:2]
    for name, colour in PALETTE.items():
        value = re.search(f"--{name}: (#[0-9a-f]+);", light)
        assert value is not None
        assert value[1] in (colour, "#" + colour[1::2])
        assert f"--{name}:" in dark


def test_texts_cannot_become_markup() -> None:
    marks = (Mark(x=1.0, y=1.0, tip=HOSTILE, text=HOSTILE),)
    series = Series(marks=marks, colour="blue", name=HOSTILE, line="straight")
    axis = Axis(label=HOSTILE)
    text = chart_svg(Chart(title=HOSTILE, x=axis, y=axis, series=(series,)))
    root = ElementTree.fromstring(text)
    assert "<script" not in text
    assert root.get("aria-label") == HOSTILE
    assert [item.text for item in root.iter("title")] == [HOSTILE, HOSTILE]
    assert [item.text for item in root.iter("text")].count(HOSTILE) == 3


def test_dollars_are_no_formulas() -> None:
    assert "$x_1$" in chart_svg(chart_of((1.0, 1.0), label="$x_1$"))
