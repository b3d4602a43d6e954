"""Scorer: a metric and how it is computed from outputs and labels, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from quant.errors import BitAllocError
from quant.objective.metric import Metric
from quant.objective.outputs import join, pick
from quant.objective.resampling import resample
from quant.outputs import Outputs

Compute = Callable[[Outputs, torch.Tensor], torch.Tensor]
"""From the outputs and labels of some images."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """What a metric says of a set of images: `quant.objective.scores.ImageScores` has the words."""

    value: float
    each: torch.Tensor | None = None
    resampled: torch.Tensor | None = None


class Scorer(Protocol):
    """A metric, and how it is computed: what is kept of each batch, and what all comes to."""

    @property
    def metric(self) -> Metric:
        """What the score means."""

    @property
    def source(self) -> str:
        """Of a function that is the user's: part of the keys of what is stored."""

    def part(self, outputs: Outputs, labels: torch.Tensor) -> Any:
        """Return what is kept of a batch.

        Raises:
            ObjectiveError: outputs and labels do not fit the metric.
        """

    def whole(self, parts: Sequence[Any]) -> Found:
        """Return what the parts of all batches, in order, come to."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EachImage:
    """A mean over images."""

    metric: Metric
    compute: Compute
    """To a score of each image, bool or float `[N]`."""
    source: str = ""

    def part(self, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        """Return the images' scores."""
        return self.compute(outputs, labels)

    def whole(self, parts: Sequence[torch.Tensor]) -> Found:
        """Return their mean."""
        return mean_of(torch.cat(list(parts)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sums:
    """A function of sums over images."""

    metric: Metric
    amounts: Compute
    """To what of each image is summed, float64 `[N, K]`."""
    value_of: Callable[[torch.Tensor], torch.Tensor]
    """From sums `[K]` to the value, a scalar."""
    source: str = ""

    def part(self, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        """Return the images' amounts."""
        return self.amounts(outputs, labels)

    def whole(self, parts: Sequence[torch.Tensor]) -> Found:
        """Return the value, and those of samples of the images."""
        amounts = torch.cat(list(parts))
        values = resample(lambda images: float(self.value_of(amounts[images].sum(0))), len(amounts))
        return Found(value=float(self.value_of(amounts.sum(0))), resampled=values)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WholeSet:
    """A function that is given all images at once."""

    metric: Metric
    compute: Compute
    """To a score of each image, `[N]`, or to one number."""
    source: str = ""

    def part(self, outputs: Outputs, labels: torch.Tensor) -> tuple[Outputs, torch.Tensor]:
        """Return the batch as it is."""
        return outputs, labels

    def whole(self, parts: Sequence[tuple[Outputs, torch.Tensor]]) -> Found:
        """Return the value; where it is one number, those of samples of the images, too."""
        outputs = join([outputs for outputs, _ in parts])
        labels = torch.cat([labels for _, labels in parts])
        found = self.compute(outputs, labels)
        if found.ndim:
            return mean_of(found)

        def value_of(images: torch.Tensor) -> float:
            return float(self.compute(pick(outputs, images), labels[images]))

        try:
            values = resample(value_of, len(labels))
        except BitAllocError:  # a sample may lack a rare class, and have no value
            values = None
        if values is not None and not bool(torch.isfinite(values).all()):
            values = None
        return Found(value=float(found), resampled=values)


def mean_of(each: torch.Tensor) -> Found:
    """Return the mean of scores of single images, bool or float `[N]`."""
    each = each if each.dtype == torch.bool else each.double()
    return Found(value=float(each.double().mean()), each=each)
