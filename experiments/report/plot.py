"""Plot: an SVG with two axes, drawn by hand so that marks have tooltips and follow the theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from experiments.report.markup import Markup, element, join

__all__ = ["Axis", "Plot", "nice_ticks"]

# Drawn at about the width of a phone and scaled up on a desk, so that its letters stay readable.
WIDTH, HEIGHT = 400.0, 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 12.0, 28.0, 40.0


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers inside a range."""
    raw = (high - low) / max(1, count)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis: its label and range, widened where it would be empty."""

    label: str
    low: float
    high: float
    ticks: Sequence[float] | None = None
    """None for round numbers."""

    @classmethod
    def around(cls, label: str, values: Sequence[float], margin: float = 0.07) -> "Axis":
        """Return an axis that holds all values with a margin, as a share of their range."""
        low, high = min(values), max(values)
        width = (high - low) or abs(high) or 1.0
        return cls(label=label, low=low - margin * width, high=high + margin * width)

    def places(self) -> list[float]:
        """Return where the ticks are."""
        return list(self.ticks) if self.ticks is not None else nice_ticks(self.low, self.high)

    def labels(self) -> list[tuple[float, str]]:
        """Return the ticks with their texts, all with the decimals that the finest one needs."""
        places = self.places()
        texts = [f"{place:.6f}".rstrip("0").partition(".")[2] for place in places]
        decimals = max((len(text) for text in texts), default=0)
        return [(place, f"{place:.{decimals}f}") for place in places]


@dataclass(kw_only=True, slots=True)
class Plot:
    """Collects marks in data coordinates and returns them as one SVG."""

    x: Axis
    y: Axis
    title: str
    """Read out by screen readers."""
    height: float = HEIGHT
    marks: list[Markup] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point in the drawing; outside the range, on its edge."""
        across = min(1.0, max(0.0, (x - self.x.low) / (self.x.high - self.x.low)))
        up = min(1.0, max(0.0, (y - self.y.low) / (self.y.high - self.y.low)))
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM),
        )

    def dot(self, x: float, y: float, kind: str, tip: str, radius: float = 4.0) -> None:
        """Add a circle."""
        left, top = self.at(x, y)
        circle = element("circle", _tip(tip), cx=left, cy=top, r=radius, class_=f"mark {kind}")
        self.marks.append(circle)

    def shape(self, x: float, y: float, points: str, kind: str, tip: str) -> None:
        """Add a polygon whose points are relative to the data point."""
        left, top = self.at(x, y)
        place = f"translate({left:.1f} {top:.1f})"
        self.marks.append(
            element("polygon", _tip(tip), points=points, transform=place, class_=f"mark {kind}")
        )

    def line(
        self, points: Sequence[tuple[float, float]], kind: str, tip: str, *, steps: bool = False
    ) -> None:
        """Add a line through points; with `steps`, each value holds until the next."""
        places = [self.at(*point) for point in points]
        if steps:
            corners = [(after[0], before[1]) for before, after in pairwise(places)]
            mixed = [place for pair in zip(places, corners, strict=False) for place in pair]
            places = [*mixed, places[-1]]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        self.marks.append(element("polyline", _tip(tip), points=path, class_=f"line {kind}"))

    def text(self, x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> None:
        """Add a short text whose lower corner is at a point, moved off it a little."""
        left, top = self.at(x, y)
        shift = {"start": 6.0, "end": -6.0, "middle": 0.0}[anchor]
        self.marks.append(
            element("text", text, x=left + shift, y=top - 5.0, class_=kind, text_anchor=anchor)
        )

    def shade(self, from_x: float, tip: str) -> None:
        """Shade everything to the right of a value, and draw its edge."""
        left, _ = self.at(from_x, self.y.low)
        bottom = self.height - _BOTTOM
        self.marks.insert(
            0,
            element(
                "g",
                _tip(tip),
                element(
                    "rect",
                    x=left,
                    y=_TOP,
                    width=max(0.0, WIDTH - _RIGHT - left),
                    height=bottom - _TOP,
                    class_="outside",
                ),
                element("line", x1=left, x2=left, y1=_TOP, y2=bottom, class_="line budget"),
            ),
        )

    def svg(self) -> Markup:
        """Return the drawing."""
        return element(
            "svg",
            element("title", self.title),
            self._axes(),
            *self.marks,
            viewBox=f"0 0 {WIDTH:.0f} {self.height:.0f}",
            role="img",
            class_="plot",
        )

    def _axes(self) -> Markup:
        bottom = self.height - _BOTTOM
        parts = []
        for tick, text in self.y.labels():
            _, top = self.at(self.x.low, tick)
            parts += [
                element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=top, y2=top, class_="grid"),
                element("text", text, x=_LEFT - 6, y=top + 4, text_anchor="end"),
            ]
        for tick, text in self.x.labels():
            left, _ = self.at(tick, self.y.low)
            parts += [
                element("line", x1=left, x2=left, y1=bottom, y2=bottom + 4, class_="tick"),
                element("text", text, x=left, y=bottom + 16, text_anchor="middle"),
            ]
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(
            element(
                "text",
                self.x.label,
                x=middle,
                y=self.height - 6,
                class_="label",
                text_anchor="middle",
            )
        )
        # Above its axis and not along it: read without turning the head, and never on a number.
        parts.append(element("text", self.y.label, x=4.0, y=14.0, class_="label"))
        return element("g", join(*parts), class_="axes")


def _tip(text: str) -> Markup:
    return element("title", text)
