"""Laplace's approximation: the likeliest responses, and a Gaussian around them."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from env.responses.columns import Floats, KnownColumns
from env.responses.likelihood import Likelihood
from env.responses.prior import ResponsePrior

_STEPS = 40
_HALVINGS = 12
_ENOUGH = 1e-8
_NOISES = 9
_NOISE_REACH = 2.5
"""Noises that are tried: so many, up to so many of the prior's spreads from its median."""
_LARGEST_LOG = 30.0
"""A response beyond e^30 is a step that went astray."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Whitened:
    """The prior of log responses as `mean + root @ v`, v of independent standard normals."""

    mean: Floats
    root: Floats

    @classmethod
    def of(cls, prior: ResponsePrior, columns: KnownColumns) -> "Whitened":
        """Return a prior's."""
        root = np.linalg.cholesky(prior.covariance(columns)).astype(np.float64)
        return cls(mean=prior.mean(columns), root=root)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mode:
    """The likeliest v for one noise, and the Gaussian there."""

    v: Floats
    """`[columns]`."""
    precision: Floats
    """`[columns, columns]`, of v."""
    evidence: float
    """Log marginal likelihood of the losses, as Laplace approximates it, without its constant."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Laplace:
    """The mode at the likeliest noise, and what is believed of the noise."""

    mode: Mode
    log_noise: float
    log_noise_sd: float
    evidence: float
    """Log marginal likelihood over all noises, without its constant."""


def find_mode(
    whitened: Whitened, likelihood: Likelihood, noise: float, start: Floats | None = None
) -> Mode:
    """Return the mode by Gauss and Newton's steps, each halved until it gains."""
    errors = likelihood.covariance(noise)
    factor = cho_factor(errors, lower=True)
    losses, rows = likelihood.observed.losses, likelihood.rows

    def worth(v: Floats) -> tuple[float, Floats, Floats]:
        logs = np.minimum(whitened.mean + whitened.root @ v, _LARGEST_LOG)
        responses = np.exp(logs)
        left = losses - rows @ responses
        return -0.5 * float(v @ v + left @ cho_solve(factor, left)), responses, left

    v = np.zeros(len(whitened.mean)) if start is None else start
    value, responses, left = worth(v)
    for _ in range(_STEPS):
        jacobian = (rows * responses) @ whitened.root
        gain = np.linalg.solve(jacobian @ jacobian.T + errors, left + jacobian @ v)
        step = jacobian.T @ gain - v
        for halving in range(_HALVINGS):
            trial = v + step * 0.5**halving
            found = worth(trial)
            if found[0] >= value:
                break
        else:
            break
        gained = found[0] - value
        v, (value, responses, left) = trial, found
        if gained < _ENOUGH:
            break
    jacobian = (rows * responses) @ whitened.root
    solved = solve_triangular(factor[0], jacobian, lower=True)
    precision = np.eye(len(v)) + solved.T @ solved
    # log|R + J J'|: the determinants of the errors' and the posterior's covariance together.
    _, spread = np.linalg.slogdet(errors + jacobian @ jacobian.T)
    return Mode(v=v, precision=precision, evidence=value - 0.5 * float(spread))


def approximate(prior: ResponsePrior, columns: KnownColumns, likelihood: Likelihood) -> Laplace:
    """Return the approximation with the noise weighed over a grid."""
    whitened = Whitened.of(prior, columns)
    middle, reach = math.log(prior.noise), _NOISE_REACH * prior.noise_log_sd
    grid = np.linspace(middle - reach, middle + reach, _NOISES)
    modes: list[Mode] = []
    start: Floats | None = None
    for log_noise in grid[::-1]:  # from much noise to little: each begins where the last ended
        modes.append(find_mode(whitened, likelihood, math.exp(log_noise), start))
        start = modes[-1].v
    modes.reverse()
    logs = np.array([mode.evidence for mode in modes])
    logs -= 0.5 * ((grid - middle) / prior.noise_log_sd) ** 2
    weights = np.exp(logs - logs.max())
    total = float(weights.sum())
    weights /= total
    mean = float(weights @ grid)
    step = float(grid[1] - grid[0])
    # A grid knows no spread below its own step.
    spread = math.sqrt(float(weights @ (grid - mean) ** 2) + step**2 / 12.0)
    near = find_mode(whitened, likelihood, math.exp(mean), modes[int(weights.argmax())].v)
    evidence = float(logs.max()) + math.log(total * step / (prior.noise_log_sd * 2.5066282746))
    return Laplace(mode=near, log_noise=mean, log_noise_sd=spread, evidence=evidence)
