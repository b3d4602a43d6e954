"""ReferenceScores: the all-8-bit network image by image, which every candidate is paired with."""

from collections.abc import Sequence

from env.evaluating.staged_trainings import LookLosses
from env.evaluating.stored_accuracies import StoredAccuracies
from quant.allocation import Allocation
from quant.layers import MAX_BITS, LayerSpec
from quant.objective.scores import ImageScores


class ReferenceScores:
    """Kept in memory and, where there is a store, for later runs and parts of this one."""

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        store: StoredAccuracies | None,
        *,
        looked_at: bool = False,
    ) -> None:
        """Know nothing yet but the reference's bits.

        Args:
            layers: The network's.
            store: For later runs; None for none.
            looked_at: Whether its retraining is staged: then its looks belong to its scores.
        """
        self.allocation = Allocation.uniform(layers, MAX_BITS)
        self._store = store
        self._looked_at = looked_at
        self._scores: ImageScores | None = None
        self.looks: LookLosses | None = None
        """Losses of the images that were looked at; None until the scores are asked for or kept,
        and where retraining is not staged."""

    def get(self) -> ImageScores | None:
        """Return the scores, or None where nobody has kept them, or not the looks with them.

        Raises:
            StoreError: those in the store are damaged.
        """
        if self._scores is None and self._store is not None:
            looks = self._store.get_looks(self.allocation) if self._looked_at else None
            if looks is not None or not self._looked_at:
                self._scores, self.looks = self._store.get_scores(self.allocation), looks
        return self._scores

    def keep(self, scores: ImageScores, looks: LookLosses | None = None) -> None:
        """Keep what the reference, retrained from the float checkpoint, made of each image."""
        self._scores, self.looks = scores, looks
        if self._store is not None:
            self._store.put_scores(self.allocation, scores)
            if looks is not None:
                self._store.put_looks(self.allocation, looks)
