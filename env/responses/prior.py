"""ResponsePrior: what sensitivities of one kind turned out to mean, on networks seen before.

The logarithm of a response is Gaussian: a straight line in the logarithm of what the sensitivity
says and in the bits, and errors that all responses share, that those of one decision share, and
that each has for itself.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from env.errors import TaskError
from env.responses.columns import Floats, KnownColumns
from env.responses.layer_facts import FACTS
from quant.layers import MIN_BITS
from quant.records.json_form import EXACT
from quant.records.ranges import NotNegative, check_ranges, more_than
from quant.sensitivities import SensitivityKind

_Above0 = Annotated[float, more_than(0)]
_NO_FACTS = (0.0,) * len(FACTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponsePrior:
    """Hyperparameters, in natural logarithms of quality lost (a share: 0.01 is a point)."""

    __pydantic_config__ = EXACT

    source: str
    """Where the numbers come from, in words; a guess says so."""
    kind: SensitivityKind
    """Of the sensitivities that it reads."""
    intercept: float
    """Mean log response at 2 bits where `log(rise + least_rise)` is 0."""
    slope: float
    """Rise of that with each unit of `log(rise + least_rise)`."""
    per_bit: float
    """Rise of that with each bit above 2; negative."""
    facts: tuple[float, ...] = _NO_FACTS
    """Rise of that with each of `FACTS`."""
    least_rise: _Above0
    """Added to the rises, which may be zero or less."""
    common_sd: NotNegative
    """Error that a network's responses share."""
    decision_sd: NotNegative
    """Error that a decision's responses share."""
    width_sd: _Above0
    """Error of each response."""
    noise: _Above0
    """Median of what retraining adds to the standard error over images, in quality."""
    noise_log_sd: _Above0
    """Spread of the logarithm of that from network to network."""

    def __post_init__(self) -> None:
        """Refuse spreads that are none, and another number of facts."""
        check_ranges(self, "prior.", TaskError)
        if len(self.facts) != len(FACTS):
            raise TaskError(f"prior.facts: expected {len(FACTS)} numbers, found {len(self.facts)}")

    def mean(self, columns: KnownColumns) -> Floats:
        """Return the mean of the log responses, `[columns]`."""
        known = np.log(np.maximum(columns.rises, 0.0) + self.least_rise)
        line = self.intercept + self.slope * known + self.per_bit * (columns.bits - MIN_BITS)
        mean: Floats = line + columns.facts @ np.array(self.facts)
        return mean

    def covariance(self, columns: KnownColumns) -> Floats:
        """Return the covariance of the log responses, `[columns, columns]`."""
        same = columns.of[:, None] == columns.of[None, :]
        shared = self.common_sd**2 + self.decision_sd**2 * same
        covariance: Floats = shared + self.width_sd**2 * np.eye(len(columns))
        return covariance


WIDE = ResponsePrior(
    source="a guess: wide, and fitted to nothing",
    kind="gauss-newton",
    intercept=-4.0,
    slope=0.5,
    per_bit=-0.4,
    least_rise=1e-4,
    common_sd=1.0,
    decision_sd=0.9,
    width_sd=0.5,
    noise=0.005,
    noise_log_sd=0.7,
)
"""What is believed before anything was fitted."""
