"""Summary: what bits buy on a device, as groups of widths that take equal time, and a sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import model_serializer

from env.decisions.budget import MEASURED_TOLERANCE
from experiments.staircase.layer_steps import LayerSteps
from hardware.errors import BuildError
from hardware.measuring.measurement import UNSTABLE_SPREAD
from quant.layers import MAX_BITS
from quant.records.json_form import Plain

RULE = (
    "geometric mean over layers, weighted by their time at 8 bits; widths are one group when they "
    f"differ by less than the spread of their timings, or by less than {MEASURED_TOLERANCE:.0%}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Width:
    """One bit-width against 8 bits, over all layers."""

    bits: int
    speedup: float
    """Time at 8 bits over time at this width."""
    spread: float
    """Relative uncertainty of this width's own times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WidthGroup:
    """Neighbouring widths that the measurement does not tell apart, widest first."""

    bits: tuple[int, ...]
    speedup: float
    """Geometric mean of the widths' speed-ups."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What bits buy."""

    widths: tuple[Width, ...]
    """From 8 bits downwards."""
    groups: tuple[WidthGroup, ...]
    """The same widths; the first group holds the 8 bits."""

    @property
    def spread(self) -> float:
        """Largest relative uncertainty of a width's times."""
        return max(width.spread for width in self.widths)

    @property
    def stable(self) -> bool:
        """Whether the times repeat well enough to be believed."""
        return self.spread < UNSTABLE_SPREAD

    @property
    def sentence(self) -> str:
        """What each group buys, such as `7 bits: 1.30x over 8; 6 to 3: 1.70x; 2: 2.10x`."""
        if self.stable:
            return self._claim
        doubt = f"timings that repeat only to {self.spread:.0%}"
        if len(self.groups) == 1:
            return f"{doubt} do not tell these widths apart"
        return f"{self._claim} (unstable: {doubt})"

    @property
    def _claim(self) -> str:
        narrowest = self.widths[-1].bits
        first, *others = self.groups
        like_eight = first.bits[1:]
        if not others:
            return f"fewer bits buy no time: {_name(like_eight, narrowest, ' bits')} take what 8 do"
        parts = []
        if like_eight:
            parts.append(f"{_name(like_eight, narrowest, ' bits')}: no faster than 8")
        for index, group in enumerate(others):
            name = _name(group.bits, narrowest, "" if parts else " bits")
            over = "" if index else " over 8"
            slower = " (slower)" if group.speedup < 1.0 else ""
            parts.append(f"{name}: {group.speedup:.2f}x{over}{slower}")
        return "; ".join(parts)

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {"sentence": self.sentence, "rule": RULE, "stable": self.stable, **plain(self)}


def summarize(layers: Sequence[LayerSteps], widths: Sequence[int]) -> Summary:
    """Return each width's speed-up over all layers, and which widths are equal.

    Layers that take no longer than an empty program have no speed-up and do not count.

    Args:
        layers: What was measured.
        widths: From 8 downwards.

    Raises:
        BuildError: no layer takes longer than an empty program.
    """
    counted = [layer for layer in layers if layer.timed]
    if not counted:
        raise BuildError(
            "expected layers that take longer than an empty program, found none",
            "measure larger ones: --shapes standard",
        )
    found = tuple(_width(counted, bits) for bits in widths)
    return Summary(
        widths=found,
        groups=tuple(
            WidthGroup(bits=tuple(width.bits for width in group), speedup=_mean(group))
            for group in _group_widths(found)
        ),
    )


def _width(layers: Sequence[LayerSteps], bits: int) -> Width:
    """Weigh the layers; errors of different layers are independent, so their squares add up."""
    total_us = sum(layer.us(MAX_BITS) for layer in layers)
    weights = [layer.us(MAX_BITS) / total_us for layer in layers]
    parts = list(zip(weights, layers, strict=True))
    log_speedup = sum(weight * math.log(layer.speedup(bits)) for weight, layer in parts)
    spread = math.hypot(*(weight * layer.relative_spread(bits) for weight, layer in parts))
    return Width(bits=bits, speedup=math.exp(log_speedup), spread=spread)


def _group_widths(widths: Sequence[Width]) -> list[list[Width]]:
    """Join neighbours, the most alike first, while all widths of a group stay equal."""
    groups = [[width] for width in widths]
    while True:
        joinable = [
            (abs(math.log(_mean(left) / _mean(right))), index)
            for index, (left, right) in enumerate(pairwise(groups))
            if all(_equal(wide, narrow) for wide in left for narrow in right)
        ]
        if not joinable:
            return groups
        _, index = min(joinable)
        groups[index : index + 2] = [groups[index] + groups[index + 1]]


def _mean(group: Sequence[Width]) -> float:
    return math.exp(sum(math.log(width.speedup) for width in group) / len(group))


def _equal(left: Width, right: Width) -> bool:
    """Whether two widths differ by less than what their timings repeat to."""
    apart = abs(math.log(left.speedup / right.speedup))
    return apart <= max(math.log(1.0 + MEASURED_TOLERANCE), math.hypot(left.spread, right.spread))


def _name(bits: Sequence[int], narrowest: int, unit: str) -> str:
    """Return `7`, `6 and 5`, `6 to 3`, or `6 and below` where nothing narrower was measured."""
    if len(bits) == 1:
        return f"{bits[0]}{unit}"
    if bits[-1] == narrowest:
        return f"{bits[0]}{unit} and below"
    joint = "to" if len(bits) > 2 else "and"
    return f"{bits[0]} {joint} {bits[-1]}{unit}"
