"""PairTerms: what decisions do together, as evaluations say it in each sample of a posterior."""

from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats
from env.responses.likelihood import Likelihood
from env.responses.pairs.kernel import PairKernel


@dataclass(frozen=True, kw_only=True, eq=False)
class PairTerms:
    """The mean of all pair terms, given the losses and a sample's responses and noise."""

    kernel: PairKernel
    rows: Floats
    """`[N, columns]`: what was evaluated."""
    weights: Floats
    """`[samples, N]`: of the covariances with what was evaluated."""

    @classmethod
    def of(
        cls, kernel: PairKernel, likelihood: Likelihood, responses: Floats, noises: Floats
    ) -> "PairTerms":
        """Return the terms that explain what responses leave of the losses.

        Args:
            kernel: What is believed of them.
            likelihood: With their covariance.
            responses: `[samples, columns]`.
            noises: Of a retraining, `[samples]`.
        """
        values, vectors = likelihood.shapes
        left = likelihood.observed.losses - responses @ likelihood.rows.T
        weights = (left @ vectors / (values + noises[:, None] ** 2)) @ vectors.T
        return cls(kernel=kernel, rows=likelihood.rows, weights=weights)

    def losses(self, rows: Floats) -> Floats:
        """Return what pairs add to allocations, `[samples, allocations]`.

        Args:
            rows: 1 where an allocation has a response, else 0, `[allocations, columns]`.
        """
        added: Floats = self.weights @ self.kernel.between(self.rows, rows)
        return added

    def beside(self, row: Floats) -> Floats:
        """Return what each response adds beside the others of one allocation, `[samples, columns]`.

        Args:
            row: The allocation's, `[columns]`.
        """
        of = self.kernel.of
        others = np.where(of[:, None] == of[None, :], 0.0, row)
        added: Floats = self.losses(others + np.eye(len(of))) - self.losses(others)
        return added
