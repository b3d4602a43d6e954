"""The bar that this project sets itself: how steep and how flat the staircase of a 3x3 must be.

It was set for AVX2 without VNNI: t(8) >= 1.05 t(7) >= 1.05^2 t(6); t(4) <= 1.03 t(6);
t(2) <= t(4) / 1.05. Where one instruction multiplies 8 bits, an honest staircase is nearly flat
and does not meet it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.staircase.layer_steps import LayerSteps


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What the time at one width must be of the time at another."""

    width: int
    of_width: int
    least: float = 0.0
    most: float = math.inf

    @property
    def name(self) -> str:
        """For example `t8/t7`."""
        return f"t{self.width}/t{self.of_width}"


BAR = (
    Limit(width=8, of_width=7, least=1.05),
    Limit(width=7, of_width=6, least=1.05),
    Limit(width=4, of_width=6, most=1.03),
    Limit(width=4, of_width=2, least=1.05),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BarLine:
    """Ratios of times of one layer, or their geometric means over all."""

    name: str
    ratios: Mapping[str, float]
    """By the names of the limits."""

    @property
    def failed(self) -> tuple[str, ...]:
        """Name the limits that are not kept."""
        return tuple(
            limit.name for limit in BAR if not limit.least <= self.ratios[limit.name] <= limit.most
        )


def check_bar(layers: Sequence[LayerSteps], widths: Sequence[int]) -> tuple[BarLine, ...]:
    """Return a line for each 3x3 convolution that has both bits to choose, and one for all.

    Empty where a width of the bar was not measured or there is no such convolution.
    """
    needed = {width for limit in BAR for width in (limit.width, limit.of_width)}
    if not needed.issubset(widths):
        return ()
    lines = [
        BarLine(
            name=layer.name,
            ratios={limit.name: layer.us(limit.width) / layer.us(limit.of_width) for limit in BAR},
        )
        for layer in layers
        if layer.shape.is_3x3 and layer.timed and not layer.reads_input
    ]
    if not lines:
        return ()
    means = {
        limit.name: math.exp(sum(math.log(line.ratios[limit.name]) for line in lines) / len(lines))
        for limit in BAR
    }
    return (*lines, BarLine(name="geometric mean", ratios=means))
