"""Hamiltonian sampling: from draws near the posterior to samples of it."""

import math
from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats, ResponseColumns
from env.responses.laplace import Laplace, Whitened
from env.responses.likelihood import Likelihood
from env.responses.prior import ResponsePrior
from env.responses.randomized import draw_moved

_ROUNDS = 12
"""Trajectories of each chain, whose ends are the samples."""
_LEAPS = 8
"""Steps of a trajectory."""
_FIRST_STEP = 0.15
_ACCEPTED = 0.8
"""Share of trajectories that steps are made long or short for."""
_ADAPTING = 0.7
"""How fast, in the first half of the rounds."""
_JITTER = 0.3
"""Steps differ from chain to chain by so much: no chain runs in circles for long."""
_LARGEST_LOG = 30.0
"""Beyond e^30 a trajectory went astray, and is not taken."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Target:
    """The posterior in coordinates in which Laplace's approximation is a standard normal."""

    prior: ResponsePrior
    likelihood: Likelihood
    laplace: Laplace
    logs_at: Floats
    logs_by: Floats
    v_by: Floats
    inverse: Floats

    @classmethod
    def of(
        cls,
        prior: ResponsePrior,
        columns: ResponseColumns,
        likelihood: Likelihood,
        laplace: Laplace,
    ) -> "_Target":
        whitened = Whitened.of(prior, columns)
        inverse = np.linalg.cholesky(laplace.mode.precision).T.astype(np.float64)
        v_by = np.linalg.inv(inverse).astype(np.float64)
        return cls(
            prior=prior,
            likelihood=likelihood,
            laplace=laplace,
            logs_at=whitened.mean + whitened.root @ laplace.mode.v,
            logs_by=whitened.root @ v_by,
            v_by=v_by,
            inverse=inverse,
        )

    def unfold(self, w: Floats) -> tuple[Floats, Floats]:
        """Return log responses `[columns, chains]` and log noises `[chains]`."""
        logs = np.minimum(self.logs_at[:, None] + self.logs_by @ w[:-1], _LARGEST_LOG)
        log_noise = self.laplace.log_noise + self.laplace.log_noise_sd * w[-1]
        return logs, np.clip(log_noise, -_LARGEST_LOG, _LARGEST_LOG)

    def fold(self, v: Floats) -> Floats:
        """Return the coordinates of v, `[columns, chains]`."""
        w: Floats = self.inverse @ (v - self.laplace.mode.v[:, None])
        return w

    def density(self, w: Floats) -> tuple[Floats, Floats]:
        """Return the log density `[chains]` and its gradient, as `w`."""
        logs, log_noise = self.unfold(w)
        v = self.laplace.mode.v[:, None] + self.v_by @ w[:-1]
        odd = (log_noise - math.log(self.prior.noise)) / self.prior.noise_log_sd
        value, by_logs, by_noise = self.likelihood.log_density(logs, log_noise)
        value = value - 0.5 * ((v**2).sum(0) + odd**2)
        by_noise = by_noise - odd / self.prior.noise_log_sd
        gradient = np.concatenate(
            [
                self.logs_by.T @ by_logs - self.v_by.T @ v,
                (self.laplace.log_noise_sd * by_noise)[None],
            ]
        )
        return value, gradient


def sample_logs(
    prior: ResponsePrior,
    columns: ResponseColumns,
    likelihood: Likelihood,
    laplace: Laplace,
    *,
    count: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Return log responses `[count, columns]` and log noises `[count]`.

    Every sample is the end of a chain of its own, which begins as a draw of `draw_moved`; the noise
    is one coordinate more.

    Source: Neal 2011, "MCMC using Hamiltonian dynamics", sections 3 and 4.
    """
    rng = np.random.default_rng(seed)
    target = _Target.of(prior, columns, likelihood, laplace)
    noise = rng.standard_normal(count)
    noises = np.exp(laplace.log_noise + laplace.log_noise_sd * noise)
    v = draw_moved(Whitened.of(prior, columns), likelihood, noises, rng)
    w = np.concatenate([target.fold(v), noise[None]])
    value, gradient = target.density(w)
    step = _FIRST_STEP
    for number in range(_ROUNDS):
        steps = step * rng.uniform(1.0 - _JITTER, 1.0 + _JITTER, count)
        moment = rng.standard_normal(w.shape)
        energy = value - 0.5 * (moment**2).sum(0)
        there, there_gradient = w, gradient
        moment = moment + 0.5 * steps * gradient
        for leap in range(_LEAPS):
            there = there + steps * moment
            there_value, there_gradient = target.density(there)
            moment = moment + (0.5 if leap == _LEAPS - 1 else 1.0) * steps * there_gradient
        gained = there_value - 0.5 * (moment**2).sum(0) - energy
        gained = np.where(np.isfinite(gained), gained, -np.inf)
        taken = np.log1p(-rng.random(count)) < gained
        w, value = np.where(taken, there, w), np.where(taken, there_value, value)
        gradient = np.where(taken, there_gradient, gradient)
        if 2 * number < _ROUNDS:
            share = float(np.exp(np.minimum(gained, 0.0)).mean())
            step *= math.exp(_ADAPTING * (share - _ACCEPTED))
    logs, log_noise = target.unfold(w)
    return logs.T, log_noise
