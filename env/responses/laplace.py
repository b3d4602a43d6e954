"""Laplace's approximation: the likeliest responses, and a Gaussian around them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from env.responses.columns import Floats, KnownColumns
from env.responses.likelihood import Likelihood
from env.responses.prior import ResponsePrior
from env.responses.summed_looks import SummedLooks
from env.responses.unit_errors import UnitErrors

_STEPS = 40
_HALVINGS = 12
_ENOUGH = 1e-8
_NOISES = 9
_NOISE_REACH = 2.5
"""Noises that are tried: so many, up to so many of the prior's spreads from its median."""
_BIAS_STEPS = 10
_BIAS_FROM = 10
"""Responses that the prior's bias of looks weighs as much as."""
LARGEST_LOG = 30.0
"""A response beyond e^30 is a step that went astray."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Whitened:
    """The prior of the unknowns' logs as `mean + root @ v`, v of independent standard normals."""

    mean: Floats
    root: Floats

    @classmethod
    def of(
        cls, prior: ResponsePrior, columns: KnownColumns, looks: SummedLooks | None = None
    ) -> "Whitened":
        """Return a prior's.

        Args:
            prior: What is believed.
            columns: The responses, which come first.
            looks: What they say in the long run comes after them: the responses there, times a
                factor that all share and one of each.
        """
        root = np.linalg.cholesky(prior.covariance(columns)).astype(np.float64)
        mean = prior.mean(columns)
        if looks is None:
            return cls(mean=mean, root=root)
        at, count, own = looks.columns, len(looks), prior.looks
        whole = np.zeros((len(mean) + count, len(mean) + count + 1))
        whole[: len(mean), : len(mean)] = root
        whole[len(mean) :, : len(mean)] = root[at]
        whole[len(mean) :, len(mean)] = own.factor_sd
        whole[len(mean) :, len(mean) + 1 :] = own.bias_sd * np.eye(count)
        return cls(mean=np.concatenate([mean, mean[at] + own.factor]), root=whole)

    def responses(self, v: Floats) -> Floats:
        """Return the unknowns, as v: `[dimensions]` or `[dimensions, chains]`."""
        logs = (self.mean + (self.root @ v).T).T
        responses: Floats = np.exp(np.minimum(logs, LARGEST_LOG))
        return responses


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mode:
    """The likeliest v for some noises, and the Gaussian there."""

    v: Floats
    """`[dimensions]`: as many as unknowns, and one more where there are looks."""
    precision: Floats
    """`[dimensions, dimensions]`, of v."""
    evidence: float
    """Log marginal likelihood of the losses, as Laplace approximates it, without its constant."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Laplace:
    """The mode at the likeliest noises, and what is believed of the noises."""

    prior: ResponsePrior
    """With the looks' bias as it was fitted."""
    mode: Mode
    log_noises: tuple[float, ...]
    """Of a retraining and, where there are looks, of a look."""
    log_noise_sds: tuple[float, ...]
    evidence: float
    """Log marginal likelihood over all noises, without its constant."""


def find_mode(
    whitened: Whitened,
    likelihood: Likelihood,
    noises: Sequence[float],
    start: Floats | None = None,
) -> Mode:
    """Return the mode by Gauss and Newton's steps, each halved until it gains."""
    seen = UnitErrors.of(likelihood, np.asarray(noises))
    unit = np.eye(len(seen.values))

    def worth(v: Floats) -> tuple[float, Floats, Floats]:
        responses = whitened.responses(v)
        left = seen.values - seen.sums @ responses
        return -0.5 * float(v @ v + left @ left), responses, left

    v = np.zeros(whitened.root.shape[1]) if start is None else start
    value, responses, left = worth(v)
    for _ in range(_STEPS):
        jacobian = (seen.sums * responses) @ whitened.root
        gain = np.linalg.solve(jacobian @ jacobian.T + unit, left + jacobian @ v)
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
    jacobian = (seen.sums * responses) @ whitened.root
    # log|R + J J'|: the determinants of the errors' and the posterior's covariance together.
    _, spread = np.linalg.slogdet(jacobian @ jacobian.T + unit)
    return Mode(
        v=v,
        precision=np.eye(len(v)) + jacobian.T @ jacobian,
        evidence=value - 0.5 * float(seen.rest + seen.log_determinant + spread),
    )


def approximate(prior: ResponsePrior, columns: KnownColumns, likelihood: Likelihood) -> Laplace:
    """Return the approximation with each noise weighed over a grid, the looks' first."""
    whitened = Whitened.of(prior, columns, likelihood.looks)
    if likelihood.looks is None:
        found = _weigh(whitened, likelihood, prior.noise, prior.noise_log_sd, lambda noise: [noise])
        return _finish(prior, whitened, likelihood, [found])
    looks, own = likelihood.looks, prior.looks
    seen = _weigh(
        whitened,
        likelihood,
        own.noise,
        own.noise_log_sd,
        lambda noise: [prior.noise, noise],
        looks.log_density_of_spread,
    )
    look_noise = math.exp(seen.mean)
    prior = _with_bias(prior, columns, likelihood, [prior.noise, look_noise], seen.start)
    whitened = Whitened.of(prior, columns, looks)
    found = _weigh(
        whitened,
        likelihood,
        prior.noise,
        prior.noise_log_sd,
        lambda noise: [noise, look_noise],
    )
    return _finish(prior, whitened, likelihood, [found, seen])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Weighed:
    """What a grid over one noise says."""

    mean: float
    spread: float
    evidence: float
    start: Floats
    """The likeliest v at the likeliest noise."""


def _weigh(
    whitened: Whitened,
    likelihood: Likelihood,
    median: float,
    log_sd: float,
    noises_of: Callable[[float], Sequence[float]],
    also: Callable[[float], float] = lambda noise: 0.0,
) -> _Weighed:
    """Weigh one noise over a grid around its prior.

    Args:
        whitened: The unknowns' prior.
        likelihood: Of what was observed.
        median: Of the noise's prior.
        log_sd: Of its logarithm.
        noises_of: Returns all noises with this one among them.
        also: Log density of what else tells of the noise.
    """
    middle, reach = math.log(median), _NOISE_REACH * log_sd
    grid = np.linspace(middle - reach, middle + reach, _NOISES)
    modes: list[Mode] = []
    start: Floats | None = None
    for log_noise in grid[::-1]:  # from much noise to little: each begins where the last ended
        modes.append(find_mode(whitened, likelihood, noises_of(math.exp(log_noise)), start))
        start = modes[-1].v
    modes.reverse()
    logs = np.array([mode.evidence for mode in modes])
    logs += [also(math.exp(log_noise)) for log_noise in grid]
    logs -= 0.5 * ((grid - middle) / log_sd) ** 2
    weights = np.exp(logs - logs.max())
    total = float(weights.sum())
    weights /= total
    mean = float(weights @ grid)
    step = float(grid[1] - grid[0])
    # A grid knows no spread below its own step.
    spread = math.sqrt(float(weights @ (grid - mean) ** 2) + step**2 / 12.0)
    evidence = float(logs.max()) + math.log(total * step / (log_sd * 2.5066282746))
    return _Weighed(
        mean=mean, spread=spread, evidence=evidence, start=modes[int(weights.argmax())].v
    )


def _with_bias(
    prior: ResponsePrior,
    columns: KnownColumns,
    likelihood: Likelihood,
    noises: Sequence[float],
    start: Floats,
) -> ResponsePrior:
    """Return the prior with the looks' bias that what was observed asks for.

    The prior's counts as if it were that of `_BIAS_FROM` responses.
    Source: Dempster et al. 1977, "Maximum likelihood from incomplete data via the EM algorithm".
    """
    looks = likelihood.looks
    assert looks is not None
    own = prior.looks.bias_sd
    for _ in range(_BIAS_STEPS):
        mode = find_mode(Whitened.of(prior, columns, looks), likelihood, noises, start)
        start, spreads = mode.v, np.diag(np.linalg.inv(mode.precision))
        squares = (mode.v**2 + spreads)[-len(looks) :]
        total = _BIAS_FROM * own**2 + prior.looks.bias_sd**2 * float(squares.sum())
        bias_sd = math.sqrt(total / (_BIAS_FROM + len(looks)))
        prior = replace(prior, looks=replace(prior.looks, bias_sd=bias_sd))
    return prior


def _finish(
    prior: ResponsePrior, whitened: Whitened, likelihood: Likelihood, found: Sequence[_Weighed]
) -> Laplace:
    noises = [math.exp(each.mean) for each in found]
    return Laplace(
        prior=prior,
        mode=find_mode(whitened, likelihood, noises, found[0].start),
        log_noises=tuple(each.mean for each in found),
        log_noise_sds=tuple(each.spread for each in found),
        evidence=found[0].evidence,
    )
