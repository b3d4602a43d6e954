"""PairKernel: what is believed of pair terms before anything was evaluated.

Two decisions at widths with responses r and q lose `2 rho sqrt(r q)` more than their sum, as the
cross term of a quadratic loss does. A network has thousands of such terms and a search a few dozen
evaluations: none is estimated by itself. They are Gaussian, so that all of them together are one
more covariance of the losses.
"""

from dataclasses import dataclass

import numpy as np

from env.responses.columns import Floats, Integers

_ALL, _PAIR, _OWN = 0.2, 0.4, 0.4
"""Shares of the variance of rho: that all pairs have in common, that a pair of decisions has at
whatever widths, and that it has at these widths. A guess."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairKernel:
    """The covariance of what pair terms add to allocations' losses."""

    of: Integers
    """`[columns]`: number of each response's decision."""
    roots: Floats
    """`[columns]`: square roots of the responses, as an additive model has them."""
    spread: float
    """Standard deviation of rho."""

    def between(self, rows: Floats, others: Floats) -> Floats:
        """Return the covariance of allocations, `[rows, others]`.

        Args:
            rows: 1 where an allocation has a response, else 0, `[N, columns]`.
            others: Likewise.
        """
        first, second = self._by_decision(rows), self._by_decision(others)
        squares = rows * self.roots**2
        found = _ALL * np.outer(_crossed(first), _crossed(second))
        found += _PAIR * 2.0 * ((first @ second.T) ** 2 - first**2 @ (second**2).T)
        found += _OWN * 2.0 * ((squares @ others.T) ** 2 - (rows * self.roots**4) @ others.T)
        covariance: Floats = self.spread**2 * found
        return covariance

    def _by_decision(self, rows: Floats) -> Floats:
        """Return the root of each decision's response, `[rows, decisions]`."""
        found = np.zeros((len(rows), int(self.of.max(initial=-1)) + 1))
        np.add.at(found.T, self.of, (rows * self.roots).T)
        return found


def _crossed(roots: Floats) -> Floats:
    """Return the sum over pairs of twice the products, `[rows]`."""
    crossed: Floats = roots.sum(1) ** 2 - (roots**2).sum(1)
    return crossed
