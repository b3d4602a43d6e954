"""Likelihood: how well responses explain losses, with a noise that is itself not known.

Loss n is the sum of its responses, plus an error over images of known spread, plus what its own
retraining added, plus what the reference's retraining added, which all losses share. The last two
have one spread, the noise.

Looks have unknowns of their own, one for each response that was looked at: what looks say there in
the long run. They follow the responses in `logs`, and the looks' noise the losses'.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag, eigh

from env.responses.columns import Floats
from env.responses.losses import ObservedLosses
from env.responses.summed_looks import SummedLooks

_LEAST_VARIANCE = 1e-14


@dataclass(frozen=True, kw_only=True, eq=False)
class Likelihood:
    """Losses, and which responses each is the sum of."""

    rows: Floats
    """`[N, columns]`, of 0 and 1."""
    observed: ObservedLosses
    looks: SummedLooks | None = None
    """None where there are none, or nobody asks them."""
    pairs: Floats | None = None
    """Covariance of what pair terms add to the losses, `[N, N]`; None where losses are sums."""

    @cached_property
    def values(self) -> Floats:
        """What was observed: losses, then the L values of looks, `[N + L]`."""
        losses = self.observed.losses
        return losses if self.looks is None else np.concatenate([losses, self.looks.values])

    @cached_property
    def sums(self) -> Floats:
        """Which of the unknowns each of `values` is the sum of, `[N + L, columns + K]`."""
        if self.looks is None:
            return self.rows
        sums: Floats = block_diag(self.rows, self.looks.sums)
        return sums

    def covariance(self, noises: Floats) -> Floats:
        """Return the covariance of the errors of `values`, `[N + L, N + L]`.

        Args:
            noises: Of a retraining and, where there are looks, of a look, `[1 or 2]`; with another
                axis `[1 or 2, chains]` it is one for each chain, `[chains, N + L, N + L]`.
        """
        covariance = self._fixed
        for noise, shape in zip(noises, self._by_noise, strict=True):
            covariance = covariance + np.square(noise)[..., None, None] * shape
        return covariance

    @cached_property
    def _fixed(self) -> Floats:
        """Return what the covariance is without noise, `[N + L, N + L]`."""
        fixed: Floats = block_diag(self._own, np.zeros((self._looked, self._looked)))
        return fixed

    @property
    def _own(self) -> Floats:
        """Return the losses' part of it, `[N, N]`."""
        own = np.diag(self.observed.errors**2 + _LEAST_VARIANCE)
        return own if self.pairs is None else own + self.pairs

    @cached_property
    def _by_noise(self) -> list[Floats]:
        """Return what the square of each noise adds of, `[N + L, N + L]` each."""
        count = len(self.observed.losses)
        shapes = [block_diag(np.eye(count) + 1.0, np.zeros((self._looked, self._looked)))]
        if self.looks is not None:
            shapes.append(block_diag(np.zeros((count, count)), self.looks.shape))
        return shapes

    @property
    def _looked(self) -> int:
        return 0 if self.looks is None else len(self.looks.values)

    def log_density(self, logs: Floats, log_noises: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the log density of `values`, without its constant, and its two gradients.

        Args:
            logs: Logarithms of the unknowns, `[columns + K, chains]`.
            log_noises: As for `covariance`, `[1 or 2, chains]`.

        Returns:
            `[chains]`, `[columns + K, chains]` by the logs, `[1 or 2, chains]` by the noises'.
        """
        if self.looks is None:
            density, by_logs, by_noise = self._of_losses(logs, log_noises[0])
            return density, by_logs, by_noise[None]
        columns = self.rows.shape[1]
        density, by_logs, by_noise = self._of_losses(logs[:columns], log_noises[0])
        expected = np.exp(logs[columns:])
        seen, by_expected, by_look_noise = self.looks.log_density(expected, log_noises[1])
        by_all = np.concatenate([by_logs, expected * by_expected])
        return density + seen, by_all, np.stack([by_noise, by_look_noise])

    def _of_losses(self, logs: Floats, log_noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the log density of the losses and its gradients, as `log_density`."""
        if self.pairs is not None:
            return self._of_pairs(logs, log_noise)
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

    def _of_pairs(self, logs: Floats, log_noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what `_of_losses` does where pair terms add to the losses."""
        values, vectors = self.shapes
        responses, shared = np.exp(logs), np.exp(2.0 * log_noise)
        left = vectors.T @ (self.observed.losses[:, None] - self.rows @ responses)
        precise = 1.0 / (values[:, None] + shared)
        solved = left * precise
        density = 0.5 * (np.log(precise) - left * solved).sum(0)
        by_logs = responses * (self.rows.T @ (vectors @ solved))
        return density, by_logs, shared * (solved**2 - precise).sum(0)

    @cached_property
    def shapes(self) -> tuple[Floats, Floats]:
        """Values and vectors in which the covariance is `values + noise**2` whatever the noise."""
        assert self.pairs is not None
        own = self._own
        values, vectors = eigh(own, np.eye(len(own)) + 1.0)
        return values.astype(np.float64), vectors.astype(np.float64)
