"""Starts: what compensation alone makes of each allocation. No seed is in it, and so it is kept."""

from collections.abc import Callable

from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from quant.objective.scores import ImageScores
from quant.retraining.basis import Basis, finite

Score = Callable[[QuantizedNetwork], ImageScores]


class Starts:
    """Held-back losses and scores of networks that were compensated at once and trained no step.

    Every retraining is judged beside one, and often it is kept: with many seeds for an allocation,
    all but the first need not make it again.
    """

    def __init__(self, basis: Basis, score: Score) -> None:
        """Compute nothing yet.

        Args:
            basis: What retrainings share.
            score: Scores a network on the search images.
        """
        self._basis = basis
        self._score = score
        self._losses: dict[Allocation, float | None] = {}
        self._scores: dict[Allocation, ImageScores] = {}
        self._last: QuantizedNetwork | None = None

    def loss(self, allocation: Allocation) -> float | None:
        """Return the held-back loss of an allocation's start; None where it is not finite."""
        if allocation not in self._losses:
            self._make(allocation)
        return self._losses[allocation]

    def scores(self, allocation: Allocation) -> ImageScores:
        """Return what an allocation's start makes of the search images."""
        if allocation not in self._scores:
            if self._last is None or self._last.allocation != allocation:
                self._make(allocation)
            assert self._last is not None
            self._scores[allocation] = self._score(self._last)
        return self._scores[allocation]

    def _make(self, allocation: Allocation) -> None:
        self._last = self._basis.checkpoint.clone()
        self._last.set_allocation(allocation)
        self._losses[allocation] = finite(self._basis.start(self._last))
