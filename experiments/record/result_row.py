"""ResultRow: one line of the final table."""

import math
from dataclasses import dataclass, fields

from hardware.energy.energy import NO_METER
from quant.objective.metric import ACCURACY, Metric
from quant.objective.paired import PairedDifference

_TOGETHER = (("latency_ms", "latency_iqr_ms"), ("weight_bits", "activation_bits"))
"""Figures of which there are both or neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """One line of the final table. None stands for what was not measured or does not apply."""

    name: str
    metric: Metric = ACCURACY
    score: float
    score_se: float | None
    """Standard error over the images; None where nobody knows it."""
    beside_reference: PairedDifference | None = None
    """Score and loss less those of all-8-bit on the same images; None where nobody kept what
    all-8-bit made of each image."""
    kept: str = ""
    """`trained`, or `start` where no step of the retraining made it better; empty of float and of
    runs of before."""
    model_bytes: int
    latency_ms: float | None = None
    """Median of the repeats."""
    latency_iqr_ms: float | None = None
    weight_bits: float | None = None
    """Unweighted mean over the layers; one in float counts as 32."""
    activation_bits: float | None = None
    in_float: tuple[str, ...] = ()
    """Layers that are left in float; the float network's are not named."""
    inside_budget: bool | None = None
    """By the measured latency, with the measured tolerance, and by the model's bytes."""
    energy_mj: float | None = None
    """Gross millijoules of one execution."""
    energy_net_mj: float | None = None
    """Without what the idle device takes meanwhile; None for a modelled source."""
    energy_error_mj: float | None = None
    """Standard error of the gross energy."""
    idle_w: float | None = None
    energy_source: str = NO_METER
    """Kind of meter, `modelled` or `none`."""
    source: str = ""
    """`measured`, `simulated` or `emulated`."""
    verdict: str = ""

    def __post_init__(self) -> None:
        """Refuse figures that no table could show: a folder may hold anything.

        Raises:
            ValueError: names the first.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name}: expected a finite number, found {value}")
        for one, other in _TOGETHER:
            if (values[one] is None) != (values[other] is None):
                raise ValueError(f"expected {one} and {other}, or neither")
