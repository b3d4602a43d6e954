"""Hamiltonian sampling: from draws near the posterior to samples of it."""

import math
from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats, ResponseColumns
from env.responses.laplace import LARGEST_LOG, Laplace, Whitened
from env.responses.likelihood import Likelihood
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Target:
    """The posterior in coordinates in which Laplace's approximation is a standard normal."""

    likelihood: Likelihood
    at: Floats
    """The mode: logs of the unknowns, and v after them."""
    by: Floats
    """What the coordinates add to both."""
    inverse: Floats
    """Of v by its coordinates."""
    middle: Floats
    """Logarithms of the likeliest noises, `[1 or 2, 1]`, as all that follow."""
    spread: Floats
    prior_middle: Floats
    prior_spread: Floats

    @classmethod
    def of(cls, whitened: Whitened, likelihood: Likelihood, laplace: Laplace) -> "_Target":
        prior, mode = laplace.prior, laplace.mode
        noises = [(each.noise, each.noise_log_sd) for each in (prior, prior.looks)]
        known = np.array(noises[: len(laplace.log_noises)]).T[:, :, None]
        inverse = np.linalg.cholesky(mode.precision).T.astype(np.float64)
        v_by = np.linalg.inv(inverse)
        return cls(
            likelihood=likelihood,
            at=np.concatenate([whitened.mean + whitened.root @ mode.v, mode.v]),
            by=np.concatenate([whitened.root @ v_by, v_by]),
            inverse=inverse,
            middle=np.array(laplace.log_noises)[:, None],
            spread=np.array(laplace.log_noise_sds)[:, None],
            prior_middle=np.log(known[0]),
            prior_spread=known[1],
        )

    def unfold(self, w: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the unknowns' logs `[columns, chains]`, v, and log noises `[1 or 2, chains]`."""
        count = len(self.inverse)
        found = self.at[:, None] + self.by @ w[:count]
        logs, v = np.minimum(found[:-count], LARGEST_LOG), found[-count:]
        noises = self.middle + self.spread * w[count:]
        return logs, v, np.clip(noises, -LARGEST_LOG, LARGEST_LOG)

    def fold(self, v: Floats) -> Floats:
        """Return the coordinates of v, `[columns, chains]`."""
        w: Floats = self.inverse @ (v - self.at[-len(v) :, None])
        return w

    def density(self, w: Floats) -> tuple[Floats, Floats]:
        """Return the log density `[chains]` and its gradient, as `w`."""
        logs, v, log_noises = self.unfold(w)
        odd = (log_noises - self.prior_middle) / self.prior_spread
        value, by_logs, by_noises = self.likelihood.log_density(logs, log_noises)
        value = value - 0.5 * ((v**2).sum(0) + (odd**2).sum(0))
        by_noises = self.spread * (by_noises - odd / self.prior_spread)
        return value, np.concatenate([self.by.T @ np.concatenate([by_logs, -v]), by_noises])


def sample_logs(
    columns: ResponseColumns,
    likelihood: Likelihood,
    laplace: Laplace,
    *,
    count: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Return the unknowns' logs `[count, columns]` and log noises `[1 or 2, count]`.

    Every sample is the end of a chain of its own, which begins as a draw of `draw_moved`; each
    noise is one coordinate more.

    Source: Neal 2011, "MCMC using Hamiltonian dynamics", sections 3 and 4.
    """
    rng = np.random.default_rng(seed)
    whitened = Whitened.of(laplace.prior, columns, likelihood.looks)
    target = _Target.of(whitened, likelihood, laplace)
    noise = rng.standard_normal((len(laplace.log_noises), count))
    # Looks with little noise are hard to reach from afar.
    start = None if likelihood.looks is None else laplace.mode.v
    noises = np.exp(target.middle + target.spread * noise)
    v = draw_moved(whitened, likelihood, noises, rng, start)
    w = np.concatenate([target.fold(v), noise])
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
    logs, _, log_noises = target.unfold(w)
    return logs.T, log_noises
