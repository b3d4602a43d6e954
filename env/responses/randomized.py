"""Randomized maximum likelihood: draws from the prior, each moved to what the losses allow.

Few losses with little noise leave a thin curved sheet of responses. A Gaussian around the mode
touches it in one point; these draws lie along it.
"""

import numpy as np

from env.responses.columns import Floats
from env.responses.laplace import Whitened
from env.responses.likelihood import Likelihood
from env.responses.unit_errors import UnitErrors

_STEPS = 8
_SHARES = np.array([1.0, 0.5, 0.2, 0.05, 0.0])
"""Of a step of Gauss and Newton that are tried; each draw takes what is best for it."""


def draw_moved(
    whitened: Whitened,
    likelihood: Likelihood,
    noises: Floats,
    rng: np.random.Generator,
    start: Floats | None = None,
) -> Floats:
    """Return v near the posterior, `[dimensions, chains]`; `mean + root @ v` are the logs.

    Each minimises its own squared distance from a draw of the prior, and that of its losses from
    the observed ones with a draw of their errors added.

    Args:
        whitened: The prior.
        likelihood: With N losses, or looks beside them.
        noises: Of each chain, `[1 or 2, chains]`.
        rng: Draws.
        start: v where all begin to move; None: each at its draw.

    Source: Oliver, He, Reynolds 1996, "Conditioning permeability fields to pressure data";
    Bardsley et al. 2014, "Randomize-then-optimize" (SIAM J. Sci. Comput. 36).
    """
    chains = noises.shape[1]
    drawn = rng.standard_normal((whitened.root.shape[1], chains))
    errors = rng.standard_normal((len(likelihood.values), chains))
    seen = UnitErrors.of(likelihood, noises, errors.T)
    unit = np.eye(seen.values.shape[1])

    def left_by(v: Floats) -> tuple[Floats, Floats]:
        """Return what responses leave of the values, `[chains, n]`, and them, as `v`."""
        responses = whitened.responses(v)
        return seen.values - (seen.sums @ responses.T[:, :, None])[:, :, 0], responses

    def far(v: Floats) -> Floats:
        left, _ = left_by(v)
        squares: Floats = ((v - drawn) ** 2).sum(0) + (left**2).sum(1)
        return squares

    v = drawn.copy() if start is None else np.repeat(start[:, None], chains, axis=1)
    for _ in range(_STEPS):
        left, responses = left_by(v)
        # [chains, n, columns]: a matrix product for each chain, which BLAS does one by one.
        jacobian = (seen.sums * responses.T[:, None, :]) @ whitened.root
        target = left[:, :, None] + jacobian @ (v - drawn).T[:, :, None]
        transposed = jacobian.transpose(0, 2, 1)
        gain = np.linalg.solve(jacobian @ transposed + unit, target)
        step = drawn + (transposed @ gain)[:, :, 0].T - v
        tried = np.stack([far(v + share * step) for share in _SHARES])
        v = v + _SHARES[np.nan_to_num(tried, nan=np.inf).argmin(0)] * step
    return v
