"""ObservedLooks: what looks during retrainings say of single decisions.

A look shows how far the loss on some training images rises with one decision, when all that was
decided before is trained already. That is the decision's response up to a factor that all share
(other images, a loss in place of a score), one of its own (its training is not over), and noise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from env.evaluating.evaluation import Evaluation
from env.responses.columns import Floats, Integers, ResponseColumns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ObservedLooks:
    """M looks, each at one decision of one evaluation."""

    columns: Integers
    """`[M]`: which response it is at."""
    rises: Floats
    """`[M]`: how far the loss rose there, less all-8's rise."""

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self.columns)


def observed_looks(evaluations: Iterable[Evaluation], columns: ResponseColumns) -> ObservedLooks:
    """Return the looks of real evaluations of the space at responses.

    At 8 bits and in float a decision has none. Retrainings that begin alike share their first looks
    to the bit: those count once.
    """
    found = {
        (columns.at[step, bits], look.response): None
        for evaluation in evaluations
        if evaluation.looks and not evaluation.practice
        if columns.space.admits(evaluation.allocation)
        for step, (bits, look) in enumerate(
            zip(columns.space.bits_of(evaluation.allocation), evaluation.looks, strict=False)
        )
        if look.response is not None and (step, bits) in columns.at
    }
    at, rises = zip(*found, strict=True) if found else ((), ())
    return ObservedLooks(
        columns=np.array(at, dtype=np.int64), rises=np.array(rises, dtype=np.float64)
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SummedLooks:
    """All that looks with one noise say: the mean at each of K responses, and the spread there.

    Of one decision all looks miss alike, too: the reference's own look is in each of them, and what
    the share of the training mends of earlier decisions. That has the spread of a single look.
    """

    columns: Integers
    """`[K]`, each once."""
    means: Floats
    """`[K]`."""
    shape: Floats
    """`[K, K]`: covariance of the errors of the means over the noise's square."""
    squares: float
    """Sum of squared deviations of the looks from their means."""
    degrees: int
    """Looks less means."""

    @classmethod
    def of(cls, looks: ObservedLooks, columns: ResponseColumns) -> "SummedLooks":
        """Sum up looks."""
        at, place, counts = np.unique(looks.columns, return_inverse=True, return_counts=True)
        means = np.bincount(place, looks.rises, len(at)) / np.maximum(counts, 1)
        of = columns.of[at]
        shape = np.diag(1.0 / counts) + (of[:, None] == of[None, :])
        return cls(
            columns=at,
            means=means,
            shape=shape,
            squares=float(((looks.rises - means[place]) ** 2).sum()),
            degrees=len(looks) - len(at),
        )

    def __len__(self) -> int:
        """Return the number of responses that were looked at."""
        return len(self.columns)

    def log_density(self, expected: Floats, log_noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the log density of the looks, without its constant, and its two gradients.

        Args:
            expected: Of each mean, `[K, chains]`.
            log_noise: Of one look, `[chains]`.

        Returns:
            `[chains]`, `[K, chains]` by what is expected, `[chains]` by the log noise.
        """
        left = self.means[:, None] - expected
        solved = cho_solve(cho_factor(self.shape, lower=True), left)
        precise = np.exp(-2.0 * log_noise)
        squares = precise * (self.squares + (left * solved).sum(0))
        count = self.degrees + len(self)
        return -count * log_noise - 0.5 * squares, precise * solved, squares - count

    def log_density_of_spread(self, noise: float) -> float:
        """Return what the deviations of looks from their means alone say of the noise."""
        return -self.degrees * float(np.log(noise)) - 0.5 * self.squares / noise**2
