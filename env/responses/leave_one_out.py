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
    prior: ResponsePrior, columns: ResponseColumns, observed: ObservedLosses, noise: float
) -> Floats:
    """Return what the mode of all other evaluations predicts of each, `[N]`."""
    whitened = Whitened.of(prior, columns)
    predicted = np.zeros(len(observed))
    rows = columns.rows(observed.allocations)
    start: Floats | None = None
    for index in range(len(observed)):
        others = observed.without(index)
        likelihood = Likelihood(rows=np.delete(rows, index, 0), observed=others)
        mode = find_mode(whitened, likelihood, [noise], start)
        start = mode.v
        logs = whitened.mean + whitened.root @ mode.v
        predicted[index] = rows[index] @ np.exp(logs)
    return predicted


def left_out_r2(posterior: ResponsePosterior) -> float:
    """Return the share of the losses' variance that predictions without each explain.

    At most 1; below 0 where the mean of the others says more. NaN below `LEAST` evaluations.
    """
    observed = posterior.observed
    if len(observed) < LEAST:
        return math.nan
    predicted = left_out_predictions(posterior.prior, posterior.columns, observed, posterior.noise)
    count, losses = len(observed), observed.losses
    # What the mean of the others would have predicted.
    plain = (losses.sum() - losses) / (count - 1)
    # The reference's own noise is in every loss: what all predictions miss alike is taken off.
    missed = losses - predicted
    missed = missed - (missed.sum() - missed) / (count - 1)
    return 1.0 - float((missed**2).sum()) / max(float(((losses - plain) ** 2).sum()), 1e-300)
