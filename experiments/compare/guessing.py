"""Guessing: what a network scores that does not look at its input."""

import torch

from experiments.stages.network_setup import NetworkSetup
from quant.objective.metric import ACCURACY
from quant.outputs import NamedTensors, Outputs, as_outputs

_IMAGES = 256


def guess_quality(setup: NetworkSetup) -> float:
    """Return the quality of guessing on the test split.

    Of accuracy that of one class in so many. Of another metric that of one output for every image:
    the mean of what the float network makes of some training images.
    """
    task, objective = setup.task, setup.task.objective
    if objective.metric == ACCURACY:
        return 1.0 / task.classes
    with torch.no_grad():
        outputs = as_outputs(setup.module(task.train.images[:_IMAGES]))
    guesses = (
        (_mean_for(outputs, len(labels)), labels) for labels in task.test.labels.split(_IMAGES)
    )
    return objective.metric.quality(objective.score(guesses).value)


def _mean_for(outputs: Outputs, count: int) -> Outputs:
    """Return the mean over the images, for each of `count`."""
    if isinstance(outputs, torch.Tensor):
        return _mean_of(outputs, count)
    return NamedTensors((_mean_of(each, count) for each in outputs), outputs.names)


def _mean_of(tensor: torch.Tensor, count: int) -> torch.Tensor:
    return tensor.mean(0, keepdim=True).expand(count, *tensor.shape[1:])
