"""Likelihood: how well responses explain losses, with a noise that is itself not known.

Loss n is the sum of its responses, plus an error over images of known spread, plus what its own
retraining added, plus what the reference's retraining added, which all losses share. The last two
have one spread, the noise.
"""

from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats
from env.responses.losses import ObservedLosses

_LEAST_VARIANCE = 1e-14


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likelihood:
    """Losses, and which responses each is the sum of."""

    rows: Floats
    """`[N, columns]`, of 0 and 1."""
    observed: ObservedLosses

    def covariance(self, noise: float) -> Floats:
        """Return the covariance of the errors of the losses, `[N, N]`."""
        own = self.observed.errors**2 + noise**2 + _LEAST_VARIANCE
        covariance: Floats = np.diag(own) + noise**2
        return covariance

    def log_density(self, logs: Floats, log_noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the log density of the losses, without its constant, and its two gradients.

        Args:
            logs: Log responses, `[columns, chains]`.
            log_noise: `[chains]`.

        Returns:
            `[chains]`, `[columns, chains]` by the log responses, `[chains]` by the log noise.
        """
        responses, shared = np.exp(logs), np.exp(2.0 * log_noise)
        left = self.observed.losses[:, None] - self.rows @ responses
        precise = 1.0 / (self.observed.errors[:, None] ** 2 + shared + _LEAST_VARIANCE)
        # One rank more than a diagonal (Sherman and Morrison 1950).
        total = precise.sum(0)
        grown = 1.0 + shared * total
        weighed = left * precise
        solved = weighed - precise * (shared * weighed.sum(0) / grown)
        density = 0.5 * (np.log(precise).sum(0) - (left * solved).sum(0) - np.log(grown))
        by_logs = responses * (self.rows.T @ solved)
        squares = (solved**2).sum(0) + solved.sum(0) ** 2
        trace = total - shared * (precise**2).sum(0) / grown + total / grown
        return density, by_logs, shared * (squares - trace)
