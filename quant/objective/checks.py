"""Checks: what a loss or a metric expects of outputs and labels, in one sentence."""

import torch

from quant.errors import ObjectiveError
from quant.outputs import Outputs, main_tensor


def main_output(name: str, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    """Return a network's main output, of as many images as there are labels.

    Args:
        name: Of the loss or metric.
        outputs: What the network returned.
        labels: `[N, ...]`.

    Raises:
        ObjectiveError: it is of another number of images.
    """
    main = main_tensor(outputs)
    if not main.ndim or len(main) != len(labels):
        raise _misfit(name, "one output for each label", main, labels)
    return main


def class_scores(
    name: str, outputs: Outputs, labels: torch.Tensor, *, maps: bool = True
) -> torch.Tensor:
    """Return scores of classes, `[N, C]` for labels `[N]` or `[N, C, ...]` for maps `[N, ...]`.

    Args:
        name: Of the loss or metric.
        outputs: What the network returned.
        labels: Class numbers.
        maps: Whether label maps are allowed.

    Raises:
        ObjectiveError: the shapes or the labels' kind do not fit.
    """
    logits = main_output(name, outputs, labels)
    fits = logits.ndim > 1 and logits.shape[:1] + logits.shape[2:] == labels.shape
    if labels.is_floating_point() or not fits or (labels.ndim > 1 and not maps):
        shapes = "outputs [N, classes] and class numbers [N]"
        if maps:
            shapes += ", or outputs [N, classes, H, W] and label maps [N, H, W]"
        raise _misfit(name, shapes, logits, labels)
    return logits


def like_labels(name: str, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    """Return an output of the shape of its targets.

    Raises:
        ObjectiveError: it has another shape, or targets are no floats.
    """
    found = main_output(name, outputs, labels)
    if found.shape != labels.shape or not labels.is_floating_point():
        raise _misfit(name, "targets of floats with the outputs' shape", found, labels)
    return found


def _misfit(
    name: str, expected: str, outputs: torch.Tensor, labels: torch.Tensor
) -> ObjectiveError:
    kind = str(labels.dtype).removeprefix("torch.")
    return ObjectiveError(
        f"{name} expects {expected}, found outputs {list(outputs.shape)} and labels "
        f"{list(labels.shape)} of {kind}",
        "choose others with --task.loss and --task.metric, or change what your data function "
        "returns",
    )
