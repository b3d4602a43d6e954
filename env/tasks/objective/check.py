"""Check: whether network, labels, loss and metric fit, before anything is trained."""

import math

import torch

from env.errors import TaskError
from env.tasks.task import Split, Task
from quant.errors import DataError
from quant.outputs import as_outputs, main_tensor

_IMAGES = 256
"""Images that loss and metric are tried on: a metric may need some of each class."""
_TOGETHER = 64


def check_objective(task: Task, ignored: int) -> None:
    """Try loss and metric on what the untrained network makes of some images.

    Args:
        task: With its objective.
        ignored: Label that is no class.

    Raises:
        TaskError: a function of the user's fails, or returns something else than numbers.
        ObjectiveError: outputs and labels do not fit the loss or the metric.
        DataError: labels are no classes of the network.
    """
    objective, search = task.objective, task.search
    module = task.make_module().eval()
    images, labels = search.images[:_IMAGES], search.labels[:_IMAGES]
    with torch.no_grad():
        parts = [as_outputs(module(part)) for part in images.split(_TOGETHER)]
    batches = list(zip(parts, labels.split(_TOGETHER), strict=True))
    for name, split in (("training", task.train), ("search", search), ("test", task.test)):
        if isinstance(parts[0], torch.Tensor) or not objective.loss.source:
            _check_classes(main_tensor(parts[0]), split, name, ignored)
    losses = torch.cat([objective.loss.each(*batch) for batch in batches])
    if not bool(torch.isfinite(losses).all()):
        raise TaskError(
            f"task.loss: expected finite losses of {objective.loss.name} for the untrained "
            f"network, found {float(losses.mean()):.4g} in the mean",
            "look for inputs out of all proportion, and for what the loss divides by",
        )
    objective.loss.mean(as_outputs(module(images[:2])), labels[:2])
    value = objective.scorer.whole([objective.scorer.part(*batch) for batch in batches]).value
    if math.isfinite(value):  # an untrained network may have no score
        objective.metric.check(value)


def _check_classes(outputs: torch.Tensor, split: Split, name: str, ignored: int) -> None:
    """Refuse class numbers that the network has no output for."""
    labels = split.labels
    if labels.is_floating_point() or outputs.ndim < 2:
        return
    if outputs.shape[2:] != labels.shape[1:]:
        return  # no classes; the loss or the metric says so
    counted = labels if labels.ndim == 1 else labels[labels != ignored]
    if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < outputs.shape[1]:
        but = "" if labels.ndim == 1 else f", or {ignored} for what does not count"
        raise DataError(
            f"expected labels from 0 to {outputs.shape[1] - 1} for the network's "
            f"{outputs.shape[1]} classes{but}, found {int(counted.min())} to "
            f"{int(counted.max())} in the {name} data",
            "another label that does not count is --task.ignore-label" if labels.ndim > 1 else "",
        )
