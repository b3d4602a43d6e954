"""ResponsePosterior: what is believed of the hidden responses after some evaluations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from env.responses.columns import Floats, ResponseColumns
from env.responses.hamiltonian import sample_logs
from env.responses.laplace import Laplace, approximate
from env.responses.likelihood import Likelihood
from env.responses.looks import ObservedLooks
from env.responses.losses import ObservedLosses
from env.responses.prior import ResponsePrior
from env.responses.summed_looks import SummedLooks
from quant.allocation import Allocation

SAMPLES = 96


@dataclass(frozen=True, kw_only=True, eq=False)
class ResponsePosterior:
    """Samples of positive responses, and what follows from them; made by `infer_responses`.

    Quality lost against the all-8-bit reference is the sum of a decision's responses at the chosen
    widths. It is a model's answer, wherever it is shown.
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

    def sampled_losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return each sample's quality lost, `[samples, allocations]`."""
        losses: Floats = self.responses @ self.columns.rows(allocations).T
        return losses

    def mean_losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return the posterior mean quality lost of allocations of the space, `[allocations]`."""
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
) -> ResponsePosterior:
    """Return the posterior; equal seeds give equal samples.

    Args:
        prior: What sensitivities mean.
        columns: The responses, with what the sensitivities of the prior's kind say of each.
        observed: What was evaluated; without any, the samples are the prior's.
        seed: Draws the samples.
        samples: How many.
        looks: What was seen of single decisions; None where nothing was, or nobody asks.
    """
    if len(columns) == 0:
        logs, log_noises, evidence = np.zeros((samples, 0)), np.zeros(samples), 0.0
        log_noises += math.log(prior.noise)
    else:
        likelihood = Likelihood(
            rows=columns.rows(observed.allocations),
            observed=observed,
            looks=SummedLooks.of(looks, columns) if looks else None,
        )
        laplace = approximate(prior, columns, likelihood)
        found, noises = sample_logs(columns, likelihood, laplace, count=samples, seed=seed)
        logs, log_noises = found[:, : len(columns)], noises[0]
        evidence = laplace.evidence
    return ResponsePosterior(
        prior=prior,
        columns=columns,
        observed=observed,
        responses=np.exp(logs),
        noises=np.exp(log_noises),
        evidence=evidence,
        looks=looks,
    )


def laplace_of(prior: ResponsePrior, columns: ResponseColumns, observed: ObservedLosses) -> Laplace:
    """Return the approximation alone, a tenth of the time."""
    likelihood = Likelihood(rows=columns.rows(observed.allocations), observed=observed)
    return approximate(prior, columns, likelihood)
