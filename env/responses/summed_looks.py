"""SummedLooks: all that looks with one noise say, in as few numbers as there are unknowns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag

from env.responses.columns import Floats, Integers, ResponseColumns
from env.responses.looks import ObservedLooks
from quant.retraining.finetune_config import LOOK_IMAGES


@dataclass(frozen=True, kw_only=True, eq=False)
class SummedLooks:
    """What looks say in the long run at each of K responses: L sums of these, and their errors."""

    columns: Integers
    """`[K]`, each once."""
    sums: Floats
    """`[L, K]`: which of the K each of the L values is the sum of."""
    values: Floats
    """`[L]`."""
    shape: Floats
    """`[L, L]`: covariance of the errors of the values over the noise's square."""
    squares: float
    """Sum of squared deviations of the looks from what the L values say of them."""
    degrees: int
    """Looks less L."""

    @classmethod
    def of(cls, looks: ObservedLooks, columns: ResponseColumns) -> "SummedLooks":
        """Sum up looks at single decisions, and those at whole allocations."""
        parts = [part for part in (_of_decisions(looks, columns), _of_batches(looks)) if part]
        if len(parts) == 1:
            return parts[0]
        at = np.unique(np.concatenate([part.columns for part in parts]))
        sums = []
        for part in parts:
            wide = np.zeros((len(part.values), len(at)))
            wide[:, np.searchsorted(at, part.columns)] = part.sums
            sums.append(wide)
        return cls(
            columns=at,
            sums=np.concatenate(sums),
            values=np.concatenate([part.values for part in parts]),
            shape=block_diag(*(part.shape for part in parts)),
            squares=sum(part.squares for part in parts),
            degrees=sum(part.degrees for part in parts),
        )

    def __len__(self) -> int:
        """Return the number of responses that were looked at."""
        return len(self.columns)

    @cached_property
    def _precision(self) -> Floats:
        """Return the inverse of the shape, which is well-conditioned, `[L, L]`."""
        return np.linalg.inv(self.shape).astype(np.float64)

    def log_density(self, expected: Floats, log_noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the log density of the looks, without its constant, and its two gradients.

        Args:
            expected: What looks say of each response in the long run, `[K, chains]`.
            log_noise: Of one look, `[chains]`.

        Returns:
            `[chains]`, `[K, chains]` by what is expected, `[chains]` by the log noise.
        """
        left = self.values[:, None] - self.sums @ expected
        solved = self._precision @ left
        precise = np.exp(-2.0 * log_noise)
        squares = precise * (self.squares + (left * solved).sum(0))
        count = self.degrees + len(self.values)
        density = -count * log_noise - 0.5 * squares
        return density, self.sums.T @ (precise * solved), squares - count

    def log_density_of_spread(self, noise: float) -> float:
        """Return what the deviations of looks from the values alone say of the noise."""
        return -self.degrees * float(np.log(noise)) - 0.5 * self.squares / noise**2


def _of_decisions(looks: ObservedLooks, columns: ResponseColumns) -> SummedLooks | None:
    """Return the mean at each response, and the spread there.

    Of one decision all looks miss alike, too: the reference's own look is in each of them, and what
    the share of the training mends of earlier decisions. That has the spread of a single look.
    """
    if not len(looks.columns):
        return None
    at, place, counts = np.unique(looks.columns, return_inverse=True, return_counts=True)
    means = np.bincount(place, looks.rises, len(at)) / counts
    of = columns.of[at]
    return SummedLooks(
        columns=at,
        sums=np.eye(len(at)),
        values=means,
        shape=np.diag(1.0 / counts) + (of[:, None] == of[None, :]),
        squares=float(((looks.rises - means[place]) ** 2).sum()),
        degrees=len(looks.columns) - len(at),
    )


def _of_batches(looks: ObservedLooks) -> SummedLooks | None:
    """Return the least squares of what batches say, as a triangle of sums.

    A batch has fewer images than a look, and so much more noise.
    """
    if not len(looks.batch_rises):
        return None
    exact = np.sqrt(looks.batch_images / LOOK_IMAGES)
    at = np.flatnonzero(looks.batch_rows.any(axis=0))
    rotated, sums = np.linalg.qr(looks.batch_rows[:, at] * exact[:, None])
    rises = looks.batch_rises * exact
    values = rotated.T @ rises
    return SummedLooks(
        columns=at,
        sums=sums,
        values=values,
        shape=np.eye(len(values)),
        squares=max(0.0, float(rises @ rises - values @ values)),
        degrees=len(rises) - len(values),
    )
