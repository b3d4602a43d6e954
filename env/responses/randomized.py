"""Randomized maximum likelihood: draws from the prior, each moved to what the losses allow.

Few losses with little noise leave a thin curved sheet of responses. A Gaussian around the mode
touches it in one point; these draws lie along it.
"""

import numpy as np

from env.responses.columns import Floats
from env.responses.laplace import Whitened
from env.responses.likelihood import Likelihood

_STEPS = 8
_SHARES = np.array([1.0, 0.5, 0.2, 0.05, 0.0])
"""Of a step of Gauss and Newton that are tried; each draw takes what is best for it."""
_LARGEST_LOG = 30.0


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
    chains, rows = noises.shape[1], likelihood.sums
    drawn = rng.standard_normal((whitened.root.shape[1], chains))
    errors = np.stack([likelihood.covariance(noise) for noise in noises.T])
    roots = np.linalg.cholesky(errors)
    wanted = likelihood.values[:, None] + np.einsum(
        "cnm,mc->nc", roots, rng.standard_normal((len(rows), chains))
    )
    precisions = np.linalg.inv(errors)

    def worth(v: Floats) -> tuple[Floats, Floats]:
        logs = np.minimum(whitened.mean[:, None] + whitened.root @ v, _LARGEST_LOG)
        responses = np.exp(logs)
        left = wanted - rows @ responses
        far = ((v - drawn) ** 2).sum(0) + np.einsum("nc,cnm,mc->c", left, precisions, left)
        return far, responses

    v = drawn.copy() if start is None else np.repeat(start[:, None], chains, axis=1)
    _, responses = worth(v)
    for _ in range(_STEPS):
        # [chains, N, columns]: a matrix product for each chain, which BLAS does one by one.
        jacobian = (rows * responses.T[:, None, :]) @ whitened.root
        left = wanted - rows @ responses
        target = left.T + (jacobian @ (v - drawn).T[:, :, None])[:, :, 0]
        inner = jacobian @ jacobian.transpose(0, 2, 1) + errors
        gain = np.linalg.solve(inner, target[:, :, None])
        step = drawn + (jacobian.transpose(0, 2, 1) @ gain)[:, :, 0].T - v
        tried = np.stack([worth(v + share * step)[0] for share in _SHARES])
        v = v + _SHARES[np.nan_to_num(tried, nan=np.inf).argmin(0)] * step
        _, responses = worth(v)
    return v
