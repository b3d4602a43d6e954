"""predicting_pairs: pair terms where they predict left-out evaluations better, none elsewhere."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from env.responses.columns import Floats, Integers, ResponseColumns
from env.responses.laplace import Laplace, Whitened, approximate
from env.responses.likelihood import Likelihood
from env.responses.pairs.kernel import PairKernel
from env.responses.prior import ResponsePrior
from quant.allocation import Allocation

LEAST = 8
"""Allocations evaluated below which nobody asks."""
MARGIN = 2.0
"""How much larger the log density of what is left out must be, in all: the odds of the prediction
seven to one."""
_SPREADS = (0.1, 0.2, 0.4)
"""Of rho, that are tried."""


def predicting_pairs(
    prior: ResponsePrior,
    columns: ResponseColumns,
    likelihood: Likelihood,
    allocations: Sequence[Allocation],
) -> PairKernel | None:
    """Return pair terms of the likeliest spread, None where they do not clearly predict better.

    Repeats of an allocation are left out together: that they agree says nothing of others.

    Args:
        prior: Of the responses.
        columns: Likewise.
        likelihood: Of what was observed, without pair terms.
        allocations: Of its losses.
    """
    groups = [
        np.flatnonzero([one == other for other in allocations])
        for one in dict.fromkeys(allocations)
    ]
    if len(groups) < LEAST:
        return None
    plain = approximate(prior, columns, likelihood)
    roots = np.sqrt(_mean_responses(columns, likelihood, plain))
    best, evidence, density = None, -np.inf, 0.0
    for spread in _SPREADS:
        kernel = PairKernel(of=columns.of, roots=roots, spread=spread)
        rows = likelihood.rows
        with_pairs = replace(likelihood, pairs=kernel.between(rows, rows))
        found = approximate(prior, columns, with_pairs)
        if found.evidence > evidence:
            best, evidence = kernel, found.evidence
            density = _left_out(columns, with_pairs, found, groups)
    return best if density > _left_out(columns, likelihood, plain, groups) + MARGIN else None


def _mean_responses(columns: ResponseColumns, likelihood: Likelihood, laplace: Laplace) -> Floats:
    whitened = Whitened.of(laplace.prior, columns, likelihood.looks)
    root = whitened.root[: len(columns)]
    spreads = ((root @ np.linalg.inv(laplace.mode.precision)) * root).sum(1)
    logs = whitened.mean[: len(columns)] + root @ laplace.mode.v
    responses: Floats = np.exp(logs + 0.5 * spreads)
    return responses


def _left_out(
    columns: ResponseColumns,
    likelihood: Likelihood,
    laplace: Laplace,
    groups: Sequence[Integers],
) -> float:
    """Return the log density of each group of losses given all others, summed, without constants.

    Of the model that is linear around the mode, so that nothing is fitted anew.
    Source: Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 5.4.2.
    """
    whitened = Whitened.of(laplace.prior, columns, likelihood.looks)
    responses = whitened.responses(laplace.mode.v)
    jacobian = (likelihood.sums * responses) @ whitened.root
    left = likelihood.values - likelihood.sums @ responses + jacobian @ laplace.mode.v
    errors = likelihood.covariance(np.exp(laplace.log_noises))
    inverse = np.linalg.inv(errors + jacobian @ jacobian.T)
    solved, total = inverse @ left, 0.0
    for group in groups:
        own = inverse[np.ix_(group, group)]
        _, size = np.linalg.slogdet(own)
        total += 0.5 * float(size - solved[group] @ np.linalg.solve(own, solved[group]))
    return total
