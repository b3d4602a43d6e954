"""ReferenceScores: the all-8-bit network image by image, which every candidate is paired with."""

from collections.abc import Sequence

from env.evaluating.stored_accuracies import StoredAccuracies
from quant.allocation import Allocation
from quant.layers import MAX_BITS, LayerSpec
from quant.objective.scores import ImageScores


class ReferenceScores:
    """Kept in memory and, where there is a store, for later runs and parts of this one."""

    def __init__(self, layers: Sequence[LayerSpec], store: StoredAccuracies | None) -> None:
        """Know nothing yet but the reference's bits."""
        self.allocation = Allocation.uniform(layers, MAX_BITS)
        self._store = store
        self._scores: ImageScores | None = None

    def get(self) -> ImageScores | None:
        """Return the scores, or None where nobody has kept them.

        Raises:
            StoreError: those in the store are damaged.
        """
        if self._scores is None and self._store is not None:
            self._scores = self._store.get_scores(self.allocation)
        return self._scores

    def keep(self, scores: ImageScores) -> None:
        """Keep what the reference, retrained from the float checkpoint, made of each image."""
        self._scores = scores
        if self._store is not None:
            self._store.put_scores(self.allocation, scores)
