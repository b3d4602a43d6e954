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


def score_logits(logits: torch.Tensor, labels: torch.Tensor) -> Accuracy:
    """Return the accuracy of logits `[N, classes]` against labels int64 `[N]`."""
    logits = logits.detach()
    return Accuracy(
        correct=int((logits.argmax(1) == labels).sum()),
        count=len(labels),
        loss=float(functional.cross_entropy(logits, labels)),
    )


def integer_accuracy(
    graph: DeployGraph, images: torch.Tensor, labels: torch.Tensor, *, batch: int = 256
) -> Accuracy:
    """Return top-1 and loss of a converted network.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        batch: Images computed at a time.
    """
    logits = torch.cat([integer_logits(graph, part) for part in images.split(batch)])
    return score_logits(logits, labels)
