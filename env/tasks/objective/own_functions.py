"""The user's own loss and metric: functions of the network's outputs and the labels."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from env.errors import TaskError
from env.tasks.own_function import find_function, module_digest
from quant.errors import BitAllocError
from quant.objective.loss import Loss
from quant.objective.metric import Metric
from quant.objective.outputs import describe, has_gradient, pick
from quant.objective.scorer import WholeSet
from quant.outputs import Outputs

Function = Callable[[Outputs, torch.Tensor], Any]


def own_loss(name: str) -> Loss:
    """Return the loss that `task.loss` names.

    It gets the network's outputs (a tensor, or a tuple of them) and the labels `[N, ...]`, and
    returns the mean over the images or the loss of each, `[N]`. A mean is asked for image by image
    where single losses are needed.

    Raises:
        TaskError: no such function.
    """
    function = find_function(name, "task.loss")
    return Loss(
        name=name,
        of_images=partial(_losses, name, function),
        source=f" {module_digest(name)}",
        mean_of_batch=partial(_mean_loss, name, function),
    )


def own_scorer(name: str) -> WholeSet:
    """Return the metric that `task.metric` names.

    It gets what the network returned for all images of a split and the labels, and returns a score
    of each image, `[N]`, or one number. Attributes of the function say what the score means:
    `more_is_better`, True or False, must be there; `unit` may be, `"%"` for shares of 0..1.

    Raises:
        TaskError: no such function, or it does not say which way is better.
    """
    function = find_function(name, "task.metric")
    short = re.sub(r"[^\w.-]+", "-", name.partition(":")[2])
    better = getattr(function, "more_is_better", None)
    if not isinstance(better, bool):
        found = "nothing" if better is None else repr(better)
        raise TaskError(
            f"task.metric: expected {name} to say whether more is better, found {found}",
            f"write {short}.more_is_better = True, or False, below the function",
        )
    unit = getattr(function, "unit", "")
    if not isinstance(unit, str):
        raise TaskError(f"task.metric: expected the unit of {name} as a text, found {unit!r}")
    return WholeSet(
        metric=Metric(name=short, unit=unit, more_is_better=better),
        compute=partial(_scores, name, function),
        source=f" {module_digest(name)}",
    )


def _mean_loss(
    name: str, function: Function, outputs: Outputs, labels: torch.Tensor
) -> torch.Tensor:
    found = _call("task.loss", name, function, outputs, labels)
    wanted = torch.is_grad_enabled() and has_gradient(outputs)
    if not isinstance(found, torch.Tensor) or (wanted and not found.requires_grad):
        raise TaskError(
            f"task.loss: expected {name} to return a tensor that gradients go through, found "
            f"{'one that has none' if isinstance(found, torch.Tensor) else type(found).__name__}",
            "compute it from the outputs by torch's functions alone",
        )
    return _numbers("task.loss", name, found, labels).mean()


def _losses(name: str, function: Function, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    found = _numbers("task.loss", name, _call("task.loss", name, function, outputs, labels), labels)
    if found.ndim:
        return found
    if len(labels) == 1:
        return found[None]
    singles = [
        _losses(name, function, pick(outputs, slice(one, one + 1)), labels[one : one + 1])
        for one in range(len(labels))
    ]
    return torch.cat(singles)


def _scores(name: str, function: Function, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
    found = _call("task.metric", name, function, outputs, labels)
    return _numbers("task.metric", name, found, labels)


def _call(key: str, name: str, function: Function, outputs: Outputs, labels: torch.Tensor) -> Any:
    try:
        return function(outputs, labels)
    except BitAllocError:
        raise
    except Exception as error:  # a user's function may fail in any way
        reason = " ".join(str(error).split()) or "no reason given"
        raise TaskError(
            f"{key}: {name} raised {type(error).__name__}, {reason}, for outputs "
            f"{describe(outputs)} and labels {list(labels.shape)} of "
            f"{str(labels.dtype).removeprefix('torch.')}"
        ) from error


def _numbers(key: str, name: str, found: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return a function's result, a real number or one for each image.

    Raises:
        TaskError: it is something else.
    """
    expected = f"{key}: expected {name} to return a number, or one for each of {len(labels)} images"
    try:
        numbers = found if isinstance(found, torch.Tensor) else torch.as_tensor(np.asarray(found))
    except (TypeError, ValueError):
        raise TaskError(f"{expected}; found {type(found).__name__}") from None
    if numbers.shape not in {torch.Size([]), torch.Size([len(labels)])} or numbers.is_complex():
        kind = str(numbers.dtype).removeprefix("torch.")
        raise TaskError(f"{expected}; found {list(numbers.shape)} of {kind}")
    if numbers.is_floating_point() or (numbers.dtype == torch.bool and numbers.ndim):
        return numbers
    return numbers.float()
