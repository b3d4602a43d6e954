"""Measurement: every repeat of one program on one device, with its verdict and machine facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import GetPydanticSchema, model_serializer

from hardware.energy.energy import NO_METER, Energy
from hardware.facts import MeasurementFacts
from hardware.measuring.believed import is_time
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import SLOWDOWN_LIMIT
from quant.records.json_form import Plain, own_form

MeasurementSource = Literal["measured", "simulated", "emulated", "modelled"]

UNSTABLE_SPREAD = 0.10
"""IQR / median from which a measurement is called unstable (pyperf: stdev >= 10 % of the mean)."""
_UNSTABLE_EXTREME = 0.50
"""Distance of an extreme from the median, as a share of it, that is called unstable (pyperf)."""
_EXTREME_SHARE = 0.10
"""Share of repeats that must be extreme: one interrupt on a shared machine is not a verdict."""


_RULED = ("slowdown", "before_us", "after_us", "best_us")
"""What of a ruler measurements are judged by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether the repeats agree with each other, and if not, why."""

    stable: bool
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return `stable`, or `unstable: ` with the reasons."""
        return "stable" if self.stable else "unstable: " + "; ".join(self.reasons)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Immutable record of one timing. Every raw value is kept."""

    values_ms: tuple[float, ...]
    """Mean milliseconds of one execution, for each kept repeat."""
    loops: int
    """Executions in each repeat."""
    protocol: ProtocolConfig
    source: MeasurementSource
    device: str
    """Short name of the device, for tables."""
    facts: Annotated[MeasurementFacts, GetPydanticSchema(lambda _, known: known(dict[str, Any]))]
    """Machine facts: CPU model, features, governor, frequency, load, versions."""
    energy: Annotated[Energy, GetPydanticSchema(own_form)] | None = None
    """What one execution takes; None where there is no meter."""

    def __post_init__(self) -> None:
        """Refuse repeats that are no times, and rulers: a store or a folder may hold anything.

        Raises:
            ValueError: names the first such value.
        """
        wrong = [value for value in self.values_ms if not is_time(value)]
        if wrong or not self.values_ms:
            found = wrong[0] if wrong else "none"
            raise ValueError(f"values_ms: expected times above 0, found {found}")
        ruler = self.facts.get("ruler", {})
        read = [ruler.get(key, 1.0) for key in _RULED] if isinstance(ruler, dict) else [None]
        if not all(map(is_time, read)):
            raise ValueError(f"facts.ruler: expected times and a slowdown above 0, found {ruler}")

    @property
    def energy_mj(self) -> float | None:
        """Gross millijoules of one execution; None where there is no meter."""
        return None if self.energy is None else self.energy.gross_mj

    @property
    def energy_source(self) -> str:
        """Where the energy is known from: a kind of meter, `modelled` or `none`."""
        return NO_METER if self.energy is None else self.energy.source

    @property
    def median_ms(self) -> float:
        """Median of the repeats."""
        return float(np.median(self.values_ms))

    @property
    def iqr_ms(self) -> float:
        """Distance between the quartiles of the repeats."""
        low, high = np.percentile(self.values_ms, (25, 75))
        return float(high - low)

    @property
    def device_s(self) -> float:
        """Seconds that the program ran in all repeats together."""
        return sum(self.values_ms) * self.loops / 1000.0

    @property
    def verdict(self) -> Verdict:
        """Judgement of the repeats by the written thresholds."""
        ruler = self.facts.get("ruler", {})
        return judge(self.values_ms, slowdown=ruler.get("slowdown", 1.0))

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        summary = {"median_ms": self.median_ms, "iqr_ms": self.iqr_ms}
        return {**plain(self), **summary, "verdict": str(self.verdict)}


def judge(values_ms: Sequence[float], slowdown: float = 1.0) -> Verdict:
    """Judge repeats: spread of the middle half, share of far-off values, speed of the machine.

    Args:
        values_ms: The kept repeats.
        slowdown: Time of a fixed computation beside them, as a multiple of its shortest ever.

    Source: pyperf, `format_checks`; the mean and standard deviation are replaced by median and
    IQR because shared machines add one-sided outliers.
    """
    values = np.asarray(values_ms, dtype=np.float64)
    median = float(np.median(values))
    low, high = np.percentile(values, (25, 75))
    reasons = []
    if (spread := float(high - low) / median) >= UNSTABLE_SPREAD:
        reasons.append(f"IQR is {spread:.0%} of the median")
    far = float(np.mean(np.abs(values - median) >= _UNSTABLE_EXTREME * median))
    if far >= _EXTREME_SHARE:
        reasons.append(f"{far:.0%} of the repeats are 50 % or more off the median")
    if slowdown >= SLOWDOWN_LIMIT:
        reasons.append(f"the machine was {slowdown:.1f} times slower than at its best")
    return Verdict(stable=not reasons, reasons=tuple(reasons))


def latency_label(name: str, source: MeasurementSource | None) -> str:
    """Return what a latency is called: an emulated one, which is of no device, says so.

    Args:
        name: Such as `best/latency_ms`.
        source: Where the latency comes from; None where there is none.
    """
    return name.replace("latency", "latency_emulated", 1) if source == "emulated" else name
