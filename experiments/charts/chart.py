"""Chart: what is drawn, as data. Functions make charts of runs; others draw any chart.

A chart holds series of marks on two axes. The same chart becomes an SVG of the page, a picture of
TensorBoard and a file of docs.
"""

from dataclasses import dataclass
from typing import Literal

PALETTE = {
    "ink": "#1b1f24",
    "soft": "#57606a",
    "rule": "#d8dde3",
    "card": "#ffffff",
    "blue": "#0b62c4",
    "orange": "#a84a00",
    "star": "#b3125b",
    "green": "#1a6b34",
    "amber": "#7d4e00",
}
"""Colours of the light theme by their names in page.css, which has those of the dark one too."""

Line = Literal["", "straight", "steps"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One point, in the units of the axes."""

    x: float
    y: float
    tip: str = ""
    """Read where one points at it, on the page."""
    text: str = ""
    """Written beside it."""
    x_span: tuple[float, float] | None = None
    """Ends of a whisker along x."""
    y_span: tuple[float, float] | None = None
    """Ends of a whisker along y."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Marks that look alike, perhaps with a line through them."""

    marks: tuple[Mark, ...]
    colour: str
    """A name of the palette, or `#rrggbb`."""
    name: str = ""
    """In the legend; empty to leave it out."""
    tip: str = ""
    """Read where one points at the line."""
    marker: str = "o"
    """Of matplotlib; empty for a line alone."""
    size: float = 7.0
    """Of a marker, in points."""
    hollow: bool = False
    line: Line = ""
    """With steps each value holds until the next."""
    width: float = 2.0
    """Of the line, in points."""
    faint: bool = False
    end: str = ""
    """Written beside the last mark, outside the axes of a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis, as wide as the marks need."""

    label: str
    ticks: tuple[float, ...] | None = None
    """None for round numbers."""
    names: tuple[str, ...] | None = None
    """Of the ticks, in place of their numbers."""
    whole: bool = False
    """Whether only whole numbers have a tick."""
    from_zero: bool = False
    """Of the y axis."""
    falling: bool = False
    """Whether the largest value comes first."""
    log: bool = False
    """Of the x axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A dashed line across the chart; what is right of one on the x axis is shaded."""

    value: float
    name: str = ""
    """In the legend; empty to leave it out."""
    tip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One drawing."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    x_limit: Limit | None = None
    y_limit: Limit | None = None
    width: float = 360.0
    """In points. At this width letters stay readable on a phone."""
    height: float = 250.0
    """In points."""
