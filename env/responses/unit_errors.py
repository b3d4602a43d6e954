"""UnitErrors: what was observed, turned and scaled until its errors are plain."""

from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats
from env.responses.likelihood import Likelihood


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitErrors:
    """Sums of unknowns with independent standard normal errors, no more of them than unknowns.

    They say of the unknowns what all observed values say; many evaluations of a short network cost
    no more than a few. All arrays may have one more axis in front, for noises of many chains.
    """

    values: Floats
    """`[n]`."""
    sums: Floats
    """What each of the values is the sum of, `[n, unknowns]`."""
    rest: Floats
    """Squares of what no unknowns explain, `[]`."""
    log_determinant: Floats
    """Of the covariance that the errors had, `[]`."""

    @classmethod
    def of(
        cls, likelihood: Likelihood, noises: Floats, added: Floats | float = 0.0
    ) -> "UnitErrors":
        """Return those of some noises.

        Args:
            likelihood: Of N values.
            noises: As of `Likelihood.covariance`.
            added: To the values, in units of their errors, `[N]` or `[chains, N]`.

        Source: Golub and Van Loan 2013, "Matrix Computations", section 6.1 (generalized least
        squares).
        """
        root = np.linalg.cholesky(likelihood.covariance(noises))
        sums, values = likelihood.sums, likelihood.values
        solved = np.linalg.solve(root, np.column_stack([sums, values]))
        sums, values = solved[..., :-1], solved[..., -1] + added
        rest = np.zeros(values.shape[:-1])
        if sums.shape[-2] > sums.shape[-1]:
            rotated, sums = np.linalg.qr(sums)
            whole = values
            values = (whole[..., None, :] @ rotated)[..., 0, :]
            rest = np.maximum(0.0, (whole**2).sum(-1) - (values**2).sum(-1))
        diagonal = np.diagonal(root, axis1=-2, axis2=-1)
        log_determinant = 2.0 * np.log(diagonal).sum(-1)
        return cls(values=values, sums=sums, rest=rest, log_determinant=log_determinant)
