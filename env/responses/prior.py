"""ResponsePrior: what sensitivities of one kind turned out to mean, on networks seen before.

The logarithm of a response is Gaussian: a straight line in the logarithm of what the sensitivity
says and in the bits, and errors: those of the line itself, which differs from network to network,
those that the responses of one decision share, and those that each has for itself.
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
class LookPrior:
    """What looks during retrainings say of responses, in natural logarithms."""

    __pydantic_config__ = EXACT

    factor: float = 0.5
    """Mean of the logarithm of what all looks say over what is true: a loss on other images, where
    quality may be an accuracy."""
    factor_sd: NotNegative = 1.5
    """Spread of that from network to network."""
    bias_sd: _Above0 = 0.5
    """Spread of the same from response to response: what more evaluations do not mend."""
    noise: _Above0 = 0.01
    """Median of the spread of one look, in loss."""
    noise_log_sd: _Above0 = 1.5
    """Spread of the logarithm of that from network to network."""

    def __post_init__(self) -> None:
        """Refuse spreads that are none."""
        check_ranges(self, "prior.looks.", TaskError)


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
    slope_sd: NotNegative = 0.0
    """Spread of the slope from network to network."""
    per_bit_sd: NotNegative = 0.0
    """Spread of `per_bit` from network to network."""
    kind_sd: NotNegative = 0.0
    """Spread, from network to network, of how far activations lie above weights."""
    decision_per_bit_sd: NotNegative = 0.0
    """Spread of `per_bit` from decision to decision of one network."""
    noise: _Above0
    """Median of what retraining adds to the standard error over images, in quality."""
    noise_log_sd: _Above0
    """Spread of the logarithm of that from network to network."""
    looks: LookPrior = LookPrior()
    """What looks say of responses; a guess until it is fitted."""

    def __post_init__(self) -> None:
        """Refuse spreads that are none, and another number of facts."""
        check_ranges(self, "prior.", TaskError)
        if len(self.facts) != len(FACTS):
            raise TaskError(f"prior.facts: expected {len(FACTS)} numbers, found {len(self.facts)}")

    def mean(self, columns: KnownColumns) -> Floats:
        """Return the mean of the log responses, `[columns]`."""
        line = self.intercept + self.slope * self._known(columns)
        line = line + self.per_bit * (columns.bits - MIN_BITS)
        mean: Floats = line + columns.facts @ np.array(self.facts)
        return mean

    def covariance(self, columns: KnownColumns) -> Floats:
        """Return the covariance of the log responses, `[columns, columns]`."""
        same = columns.of[:, None] == columns.of[None, :]
        of_network, of_decision = self._effects(columns)
        covariance: Floats = self.width_sd**2 * np.eye(len(columns))
        for effect in of_network:
            covariance += np.outer(effect, effect)
        for effect in of_decision:
            covariance += np.outer(effect, effect) * same
        return covariance

    def variance(self, columns: KnownColumns) -> Floats:
        """Return the diagonal of the covariance, `[columns]`, without all the rest of it."""
        variance: Floats = np.full(len(columns), self.width_sd**2)
        of_network, of_decision = self._effects(columns)
        for effect in (*of_network, *of_decision):
            variance += effect**2
        return variance

    def _effects(self, columns: KnownColumns) -> tuple[list[Floats], list[Floats]]:
        """Return spreads that a network's columns share, and those that a decision's do."""
        known, bits = self._known(columns), (columns.bits - MIN_BITS).astype(np.float64)
        of_network = [
            self.common_sd * np.ones(len(columns)),
            self.slope_sd * (known - known.mean()),
            self.per_bit_sd * bits,
            self.kind_sd * columns.facts[:, FACTS.index("is_activation")],
        ]
        of_decision = [self.decision_sd * np.ones(len(columns)), self.decision_per_bit_sd * bits]
        return of_network, of_decision

    def _known(self, columns: KnownColumns) -> Floats:
        """Return what the sensitivities say, as logarithms, `[columns]`."""
        known: Floats = np.log(np.maximum(columns.rises, 0.0) + self.least_rise)
        return known


WIDE = ResponsePrior(
    source="a guess: wide, and fitted to nothing",
    kind="gauss-newton",
    intercept=-4.0,
    slope=0.5,
    per_bit=-0.4,
    least_rise=1e-4,
    common_sd=1.0,
    slope_sd=0.2,
    per_bit_sd=0.2,
    kind_sd=0.5,
    decision_sd=0.8,
    decision_per_bit_sd=0.2,
    width_sd=0.3,
    noise=0.005,
    noise_log_sd=0.7,
)
"""What is believed before anything was fitted."""
