"""SeedSpread: how far a figure of one allocation moves with the order of the training images."""

from dataclasses import dataclass

import numpy as np

from experiments.bench.noise.bootstrap import Floats, bootstrap

_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedSpread:
    """Standard deviation over retraining seeds, pooled over allocations."""

    deviation: float
    low: float
    """2.5th percentile of bootstrap samples of the allocations."""
    high: float
    """97.5th percentile."""

    @property
    def variance_of_mean(self) -> float:
        """What is left of the variance in the mean of two retrainings."""
        return self.deviation**2 / 2


def seed_spread(pairs: Floats) -> SeedSpread:
    """Return the spread of figures float64 `[allocations, 2]`: `sqrt(mean((a - b)^2) / 2)`."""
    squares = (pairs[:, 0] - pairs[:, 1]) ** 2
    deviation = float(np.sqrt(squares.mean() / 2))
    low, high = np.percentile(np.sqrt(bootstrap(squares, np.mean) / 2), _PERCENTILES).tolist()
    return SeedSpread(deviation=deviation, low=low, high=high)
