"""Scores: what one network made of each image of a set, and what that comes to."""

from dataclasses import dataclass

import torch

from quant.objective.metric import Metric
from quant.objective.standard_error import error_of_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A network's score on a set of images."""

    metric: Metric
    value: float
    standard_error: float | None
    """None where nobody knows it: a metric of a whole set that is too slow to be drawn again."""
    count: int
    """Images."""
    loss: float
    """Mean over the images."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageScores:
    """What one network made of a set of N images; `quant.objective.paired` compares two.

    A metric that is a mean over images has a score for each; of another there are its values on
    samples of the images, the same samples for every network.
    """

    metric: Metric
    value: float
    """Of all images."""
    each: torch.Tensor | None = None
    """bool `[N]` (right or wrong) or float64 `[N]`."""
    resampled: torch.Tensor | None = None
    """float64 `[samples]`; None beside `each`, and where it takes too long."""
    loss: torch.Tensor
    """float32 `[N]`."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.loss)

    @property
    def score(self) -> Score:
        """The images taken together."""
        return Score(
            metric=self.metric,
            value=self.value,
            standard_error=self.standard_error,
            count=len(self),
            loss=float(self.loss.double().mean()),
        )

    @property
    def standard_error(self) -> float | None:
        """Standard error over the images.

        Of a share of right images the binomial one, with half an image added so that it is never
        zero; of another mean the usual; else the spread over the samples.

        Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife", for samples.
        """
        if self.each is None:
            return None if self.resampled is None else float(self.resampled.std())
        if self.each.dtype == torch.bool:
            count = len(self)
            share = (float(self.each.sum()) + 0.5) / (count + 1)
            return float((share * (1 - share) / count) ** 0.5)
        return error_of_mean(self.each)
