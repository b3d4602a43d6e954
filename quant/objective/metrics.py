"""Metrics that need no function of the user's: top-1, top-5, mean squared error, mIoU and F1."""

from functools import partial

import torch

from quant.objective.checks import class_scores, like_labels
from quant.objective.loss import squared_errors
from quant.objective.metric import ACCURACY, Metric
from quant.objective.scorer import EachImage, Sums
from quant.outputs import Outputs

_TOP = 5


def _hits(outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    return class_scores("the metric top1", outputs, labels, maps=False).argmax(1) == labels


def _hits_of_five(outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    logits = class_scores("the metric top5", outputs, labels, maps=False)
    return (logits.topk(min(_TOP, logits.shape[1]), 1).indices == labels[:, None]).any(1)


def _overlaps(outputs: Outputs, labels: torch.Tensor, *, ignored: int) -> torch.Tensor:
    """Return each image's pixels in both and in either, class by class, `[N, 2 * C]`."""
    logits = class_scores("the metric miou", outputs, labels)
    classes = logits.shape[1]
    truth, found = (values.reshape(len(labels), -1) for values in (labels, logits.argmax(1)))
    counted = truth != ignored
    both = _counts(truth, counted & (truth == found), classes)
    either = _counts(truth, counted, classes) + _counts(found, counted, classes) - both
    return torch.cat([both, either], 1)


def _counts(values: torch.Tensor, counted: torch.Tensor, classes: int) -> torch.Tensor:
    """Return how often each image has each class among what counts, float64 `[N, classes]`."""
    places = torch.where(counted, values, 0)
    counts = torch.zeros(len(values), classes, dtype=torch.float64)
    return counts.scatter_add_(1, places, counted.double())


def _mean_overlap(sums: torch.Tensor) -> torch.Tensor:
    """Return the mean over the classes that occur of the pixels in both by those in either."""
    both, either = sums.chunk(2, -1)
    present = either > 0
    shares = both / either.clamp_min(1)
    return torch.where(present, shares, 0.0).sum(-1) / present.sum(-1).clamp_min(1)


def _label_counts(outputs: Outputs, targets: torch.Tensor) -> torch.Tensor:
    """Return each image's right positives, and half its found and true ones, `[N, 2]`."""
    found = (like_labels("the metric f1", outputs, targets) > 0).reshape(len(targets), -1)
    true = (targets > 0.5).reshape(len(targets), -1)
    right = (found & true).sum(1)
    either = (found.sum(1) + true.sum(1)) / 2
    return torch.stack([right.double(), either.double()], 1)


def _ratio(sums: torch.Tensor) -> torch.Tensor:
    return sums[..., 0] / sums[..., 1].clamp_min(0.5)


TOP_1 = EachImage(metric=ACCURACY, compute=_hits)
TOP_5 = EachImage(metric=Metric(name="top-5"), compute=_hits_of_five)
SQUARED_ERROR = EachImage(
    metric=Metric(name="MSE", unit="", more_is_better=False), compute=squared_errors
)
F1 = Sums(metric=Metric(name="F1"), amounts=_label_counts, value_of=_ratio)
"""Of multi-label targets, over all images and labels together; a logit above 0 is a yes."""


def mean_overlap(ignored: int) -> Sums:
    """Return the mean intersection over union of the classes, over all images together.

    Args:
        ignored: Label of pixels that do not count.
    """
    return Sums(
        metric=Metric(name="mIoU"),
        amounts=partial(_overlaps, ignored=ignored),
        value_of=_mean_overlap,
    )
