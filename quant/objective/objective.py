"""Objective: a loss and a metric, and what a network scores by them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from quant.errors import TrainingError
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.objective.metric import Metric
from quant.objective.metrics import TOP_1
from quant.objective.outputs import fetch_outputs
from quant.objective.scorer import Scorer
from quant.objective.scores import ImageScores
from quant.outputs import Outputs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Objective:
    """What a network is trained by, and what says how good it is."""

    loss: Loss = CROSS_ENTROPY
    scorer: Scorer = TOP_1

    @property
    def metric(self) -> Metric:
        """What scores mean."""
        return self.scorer.metric

    @property
    def key(self) -> dict[str, str]:
        """What decides losses and scores beside the code of this package."""
        return {
            "loss": self.loss.key,
            "metric": self.metric.name + self.scorer.source,
        }

    @torch.no_grad()
    def score(self, batches: Iterable[tuple[Outputs, torch.Tensor]]) -> ImageScores:
        """Return what a network made of a set of images.

        Args:
            batches: Outputs, wherever they were computed, and labels on the CPU, all images in
                order.

        Raises:
            ObjectiveError: outputs and labels do not fit the loss or the metric.
            TrainingError: loss or score are not finite, or the score is out of its range.
        """
        parts, losses = [], []
        for computed, labels in batches:
            outputs = fetch_outputs(computed)
            losses.append(self.loss.each(outputs, labels).float())
            parts.append(self.scorer.part(outputs, labels))
        found, loss = self.scorer.whole(parts), torch.cat(losses)
        self.metric.check(found.value)
        if not bool(torch.isfinite(loss).all()):
            raise TrainingError(f"expected finite losses, found {float(loss.mean())} in the mean")
        return ImageScores(
            metric=self.metric,
            value=found.value,
            each=found.each,
            resampled=found.resampled,
            loss=loss,
        )


CLASSIFICATION = Objective()
"""Cross-entropy and top-1."""
