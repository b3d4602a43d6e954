"""ResponsePosterior: what is believed of the hidden responses after some evaluations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from env.responses.columns import Floats, ResponseColumns
from env.responses.hamiltonian import sample_logs
from env.responses.laplace import Laplace, approximate
from env.responses.likelihood import Likelihood
from env.responses.looks import ObservedLooks
from env.responses.losses import ObservedLosses
from env.responses.pairs.pair_terms import PairTerms
from env.responses.pairs.predicting import predicting_pairs
from env.responses.prior import ResponsePrior
from env.responses.summed_looks import SummedLooks
from quant.allocation import Allocation

SAMPLES = 96


@dataclass(frozen=True, kw_only=True, eq=False)
class ResponsePosterior:
    """Samples of positive responses, and what follows from them; made by `infer_responses`.

    Quality lost against the all-8-bit reference is the sum of a decision's responses at the chosen
    widths, and of what pairs of decisions add where that predicts. It is a model's answer, wherever
    it is shown.
    """

    prior: ResponsePrior
    columns: ResponseColumns
    observed: ObservedLosses
    responses: Floats
    """`[samples, columns]`."""
    noises: Floats
    """`[samples]`: spreads of what one retraining adds to a quality."""
    evidence: float
    """Log marginal likelihood of the losses, without its constant; Laplace's approximation."""
    looks: ObservedLooks | None = None
    """What was seen of single decisions, as far as it was asked."""
    pairs: PairTerms | None = None
    """What decisions do together, where that predicts; None where losses are sums."""

    @property
    def noise(self) -> float:
        """Median of the noise of one retraining."""
        return float(np.median(self.noises))

    @cached_property
    def tables(self) -> Floats:
        """Responses `[samples, decisions, len(space.widths)]`; NaN for widths not offered."""
        return self.columns.table(self.responses)

    @cached_property
    def mean_table(self) -> Floats:
        """Posterior mean responses, `[decisions, len(space.widths)]`."""
        return self.columns.table(self.responses.mean(0))

    def table_near(self, sample: int | None, allocation: Allocation) -> Floats:
        """Return the responses beside the other decisions of an allocation of the space.

        Where losses are sums it is the table that it is anywhere. Near the allocation a sum over
        it ranks others as pair terms would, far from it it does not; it may have negative values.

        Args:
            sample: Its number; None for the mean.
            allocation: Where the pair terms are taken.

        Returns:
            `[decisions, len(space.widths)]`.
        """
        beside = self.responses
        if self.pairs is not None:
            beside = beside + self.pairs.beside(self.columns.rows([allocation])[0])
        return self.columns.table(beside.mean(0) if sample is None else beside[sample])

    def sampled_losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return each sample's quality lost, `[samples, allocations]`."""
        rows = self.columns.rows(allocations)
        losses: Floats = self.responses @ rows.T
        return losses if self.pairs is None else losses + self.pairs.losses(rows)

    def mean_losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return the posterior mean quality lost of allocations of the space, `[allocations]`."""
        mean = self.summed_losses(allocations)
        if self.pairs is None:
            return mean
        together: Floats = self.pairs.losses(self.columns.rows(allocations)).mean(0)
        return mean + together

    def summed_losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return what `mean_losses` does without what pairs of decisions add."""
        mean: Floats = self.columns.rows(allocations) @ self.responses.mean(0)
        return mean


def infer_responses(
    prior: ResponsePrior,
    columns: ResponseColumns,
    observed: ObservedLosses,
    *,
    seed: int,
    samples: int = SAMPLES,
    looks: ObservedLooks | None = None,
    interactions: bool = False,
) -> ResponsePosterior:
    """Return the posterior; equal seeds give equal samples.

    Args:
        prior: What sensitivities mean.
        columns: The responses, with what the sensitivities of the prior's kind say of each.
        observed: What was evaluated; without any, the samples are the prior's.
        seed: Draws the samples.
        samples: How many.
        looks: What was seen of single decisions; None where nothing was, or nobody asks.
        interactions: Whether decisions may do something together, where the losses say that this
            predicts left-out ones better.
    """
    pairs = None
    if len(columns) == 0:
        logs, log_noises, evidence = np.zeros((samples, 0)), np.zeros(samples), 0.0
        log_noises += math.log(prior.noise)
    else:
        likelihood = Likelihood(
            rows=columns.rows(observed.allocations),
            observed=observed,
            looks=SummedLooks.of(looks, columns) if looks else None,
        )
        kernel = None
        if interactions:
            kernel = predicting_pairs(prior, columns, likelihood, observed.allocations)
        if kernel is not None:
            rows = likelihood.rows
            likelihood = replace(likelihood, pairs=kernel.between(rows, rows))
        laplace = approximate(prior, columns, likelihood)
        found, noises = sample_logs(columns, likelihood, laplace, count=samples, seed=seed)
        logs, log_noises = found[:, : len(columns)], noises[0]
        evidence = laplace.evidence
        if kernel is not None:
            pairs = PairTerms.of(kernel, likelihood, np.exp(logs), np.exp(log_noises))
    return ResponsePosterior(
        prior=prior,
        columns=columns,
        observed=observed,
        responses=np.exp(logs),
        noises=np.exp(log_noises),
        evidence=evidence,
        looks=looks,
        pairs=pairs,
    )


def laplace_of(prior: ResponsePrior, columns: ResponseColumns, observed: ObservedLosses) -> Laplace:
    """Return the approximation alone, a tenth of the time."""
    likelihood = Likelihood(rows=columns.rows(observed.allocations), observed=observed)
    return approximate(prior, columns, likelihood)
