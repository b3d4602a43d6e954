"""Accuracy: top-1 and loss of logits, and of a converted network on its integer codes."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from quant.deploy_graph import DeployGraph
from quant.torch_integer import integer_logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """Top-1 on a set of images."""

    correct: int
    count: int
    loss: float
    """Mean cross-entropy."""

    @property
    def value(self) -> float:
        """Share of correct images, 0..1."""
        return self.correct / self.count

    @property
    def standard_error(self) -> float:
        """Binomial standard error, with half an image added so that it is never zero."""
        share = (self.correct + 0.5) / (self.count + 1)
        return float((share * (1 - share) / self.count) ** 0.5)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageScores:
    """What one network made of each image of a set; `quant.retraining.paired` compares two."""

    correct: torch.Tensor
    """bool `[N]`: the largest logit is the label's."""
    loss: torch.Tensor
    """Cross-entropy, float32 `[N]`."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.correct)

    @property
    def accuracy(self) -> Accuracy:
        """The images taken together."""
        return Accuracy(
            correct=int(self.correct.sum()),
            count=len(self),
            loss=float(self.loss.double().mean()),
        )


def score_images(logits: torch.Tensor, labels: torch.Tensor) -> ImageScores:
    """Return what logits `[N, classes]` make of each image, by labels int64 `[N]`."""
    logits = logits.detach()
    return ImageScores(
        correct=logits.argmax(1) == labels,
        loss=functional.cross_entropy(logits, labels, reduction="none"),
    )


def score_logits(logits: torch.Tensor, labels: torch.Tensor) -> Accuracy:
    """Return the accuracy of logits `[N, classes]` against labels int64 `[N]`."""
    return score_images(logits, labels).accuracy


def integer_scores(
    graph: DeployGraph, images: torch.Tensor, labels: torch.Tensor, *, batch: int = 256
) -> ImageScores:
    """Return what a converted network makes of each image.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        batch: Images computed at a time.
    """
    logits = torch.cat([integer_logits(graph, part) for part in images.split(batch)])
    return score_images(logits, labels)


def integer_accuracy(
    graph: DeployGraph, images: torch.Tensor, labels: torch.Tensor, *, batch: int = 256
) -> Accuracy:
    """Return top-1 and loss of a converted network; takes what `integer_scores` takes."""
    return integer_scores(graph, images, labels, batch=batch).accuracy
