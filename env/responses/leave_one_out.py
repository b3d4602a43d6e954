"""Leave one out: how well responses predict an evaluation from all the others."""

import math

import numpy as np

from env.responses.columns import Floats, ResponseColumns
from env.responses.laplace import Whitened, find_mode
from env.responses.likelihood import Likelihood
from env.responses.losses import ObservedLosses
from env.responses.posterior import ResponsePosterior
from env.responses.prior import ResponsePrior

LEAST = 4
"""Evaluations below which nothing is said."""


def left_out_predictions(
    prior: ResponsePrior,
    columns: ResponseColumns,
    observed: ObservedLosses,
    noise: float,
    pairs: Floats | None = None,
) -> Floats:
    """Return what the mode of all other evaluations predicts of each, `[N]`.

    Args:
        prior: Of the responses.
        columns: Likewise.
        observed: N evaluations.
        noise: Of a retraining.
        pairs: Covariance of what pair terms add, `[N, N]`; None where losses are sums.
    """
    whitened = Whitened.of(prior, columns)
    predicted = np.zeros(len(observed))
    rows = columns.rows(observed.allocations)
    start: Floats | None = None
    for index in range(len(observed)):
        others = observed.without(index)
        kept = np.arange(len(observed)) != index
        between = None if pairs is None else pairs[np.ix_(kept, kept)]
        likelihood = Likelihood(rows=rows[kept], observed=others, pairs=between)
        mode = find_mode(whitened, likelihood, [noise], start)
        start = mode.v
        responses = whitened.responses(mode.v)
        predicted[index] = rows[index] @ responses
        if pairs is not None:
            left = others.losses - rows[kept] @ responses
            solved = np.linalg.solve(likelihood.covariance(np.array([noise])), left)
            predicted[index] += pairs[index, kept] @ solved
    return predicted


def left_out_r2(posterior: ResponsePosterior) -> float:
    """Return the share of the losses' variance that predictions without each explain.

    At most 1; below 0 where the mean of the others says more. NaN below `LEAST` evaluations.
    """
    observed = posterior.observed
    if len(observed) < LEAST:
        return math.nan
    pairs = None
    if posterior.pairs is not None:
        pairs = posterior.pairs.kernel.between(posterior.pairs.rows, posterior.pairs.rows)
    predicted = left_out_predictions(
        posterior.prior, posterior.columns, observed, posterior.noise, pairs
    )
    count, losses = len(observed), observed.losses
    # What the mean of the others would have predicted.
    plain = (losses.sum() - losses) / (count - 1)
    # The reference's own noise is in every loss: what all predictions miss alike is taken off.
    missed = losses - predicted
    missed = missed - (missed.sum() - missed) / (count - 1)
    return 1.0 - float((missed**2).sum()) / max(float(((losses - plain) ** 2).sum()), 1e-300)
