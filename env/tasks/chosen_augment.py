"""The changes of training images that the configuration names: words of ours, or a function."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from env.errors import TaskError
from env.tasks.augment import Augmentation
from env.tasks.own_function import find_function, module_digest
from env.tasks.task_config import NO_CHANGE
from quant.retraining.loop import Augment

_KEY = "task.augment"


@dataclass(frozen=True, slots=True)
class OwnAugmentation:
    """The user's function; its representation is part of stored keys, with its module's digest."""

    name: str
    digest: str
    function: Callable[[torch.Tensor, torch.Generator], Any] = field(repr=False)

    @property
    def __name__(self) -> str:
        """What float checkpoints are kept by."""
        return f"{self.name} {self.digest}"

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return what the function makes of a batch.

        Raises:
            TaskError: it fails, or returns something else than images of the same shape.
        """
        try:
            found = self.function(images, generator)
        except Exception as error:  # a user's function may fail in any way
            reason = " ".join(str(error).split()) or "no reason given"
            raise TaskError(
                f"{_KEY}: {self.name} raised {type(error).__name__}, {reason}"
            ) from error
        if not isinstance(found, torch.Tensor) or found.shape != images.shape:
            got = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise TaskError(
                f"{_KEY}: expected {self.name} to return images {list(images.shape)}, found {got}"
            )
        return found.to(images.dtype)


def chosen_augment(words: str, example: torch.Tensor) -> Augment | None:
    """Return what `task.augment` names; None for images as they are.

    Args:
        words: As the configuration has them, and checks them.
        example: Inputs `[N, ...]` of the task, which a function is tried on.

    Raises:
        TaskError: no such function, it cannot take the inputs, or the words need images.
    """
    if words == NO_CHANGE:
        return None
    if ":" not in words:
        if example.ndim != 4:
            raise TaskError(
                f"{_KEY}: {words} changes images [N, C, H, W], found inputs "
                f"[N, {', '.join(map(str, example.shape[1:]))}]",
                "name a function of your own, package.module:function",
            )
        return Augmentation(tuple(words.split(",")))
    function = find_function(words, _KEY)
    own = OwnAugmentation(words, module_digest(words), function)
    own(example, torch.Generator().manual_seed(0))
    return own
