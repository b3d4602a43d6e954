"""SVG: a chart as an element of the page, with tooltips and the page's colours."""

import io
import re
from xml.etree import ElementTree

from matplotlib import style
from matplotlib.figure import Figure

from experiments.charts.chart import PALETTE, Chart
from experiments.charts.draw import STYLE, draw_axes

_RIGHT, _TOP, _BOTTOM = 14.0, 24.0, 38.0
"""Room around the axes, in points."""
_LETTER = 7.5
"""Width of a digit, in points."""
_NO_FACTS = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_VARIABLES = {colour: f"var(--{name})" for name, colour in PALETTE.items()}


def chart_svg(chart: Chart) -> str:
    """Return a chart without its title and legend as one `<svg>` that scales and loads nothing.

    The same chart has the same text. Colours of the palette are variables of the page's style.
    """
    buffer = io.StringIO()
    with style.context(STYLE):
        figure = Figure(figsize=(chart.width / 72, chart.height / 72))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        tips = draw_axes(axes, chart)
        labels = axes.yaxis.get_major_formatter().format_ticks(list(axes.get_yticks()))
        left = 10.0 + _LETTER * max(map(len, labels))
        width = (chart.width - left - _RIGHT) / chart.width
        height = (chart.height - _BOTTOM - _TOP) / chart.height
        axes.set_position((left / chart.width, _BOTTOM / chart.height, width, height))
        for background in (figure.patch, axes.patch):
            background.set_visible(False)
        figure.savefig(buffer, format="svg", metadata=_NO_FACTS)
    root = ElementTree.fromstring(buffer.getvalue())
    groups = _simplify(root)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "class": "plot",
        "role": "img",
        "aria-label": chart.title,
    }
    for unused in root.findall("defs"):  # a style for all elements, and clips of nothing
        root.remove(unused)
    for group, texts in tips.items():
        shapes = [*groups[group].findall("path"), *groups[group].findall("g/use")]
        for shape, text in zip(shapes, texts, strict=True):
            if text:
                ElementTree.SubElement(shape, "title").text = text
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Leave out what an element of a page does not need; return groups by their ids."""
    groups = {}
    for item in root.iter():
        item.tag = _local(item.tag)
        item.tail = None
        if item.tag != "text":
            item.text = None
        item.attrib = {_local(name): _shorten(value) for name, value in item.items()}
        item.attrib.pop("clip-path", None)
        if item.tag == "g":
            groups[item.attrib.pop("id", "")] = item
        if item.get("transform", "").startswith("rotate(-0"):
            del item.attrib["transform"]
    return groups


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _shorten(value: str) -> str:
    """Round numbers, take the page's font, and its colours."""
    value = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)
    value = re.sub(r"font-family: [^;]*(; )?", "", value)
    return re.sub(r"#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), value)
