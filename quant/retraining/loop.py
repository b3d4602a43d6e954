"""What training loops share: the order of images, the schedule, and what is said at the end."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from quant.errors import TrainingError
from quant.tensors.devices import CPU
from quant.tensors.moving import fetch

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Changes a batch of images `[N, ...]`, with draws from the generator."""


_LOOKED_AT_TOGETHER = 16
"""Losses that are fetched from an accelerator at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingResult:
    """What a training loop did."""

    loss: float
    """Mean training loss of the last quarter of the steps; NaN when there were none."""
    steps: int
    seconds: float


def index_batches(
    count: int, size: int, generator: torch.Generator
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (pass, indices) for ever, each pass in a new order; the short last batch is kept."""
    number = 0
    while True:
        for picked in torch.randperm(count, generator=generator).split(size):
            yield number, picked
        number += 1


def cosine(step: int, total: int) -> float:
    """Return the share of the largest rate at a step: from 1 to 0 along half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * step / max(1, total)))


class Losses:
    """The losses of a loop that began when this was made.

    On the CPU each is looked at when it is noted. Elsewhere that would wait for the accelerator at
    every step, so that some are looked at together: a training may go on for as many steps after
    its loss stopped being a number.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._started = time.perf_counter()
        self._values: list[float] = []
        self._waiting: list[torch.Tensor] = []

    def note(self, loss: torch.Tensor) -> None:
        """Keep one batch's loss.

        Raises:
            TrainingError: it, or one before it, is not finite.
        """
        self._waiting.append(loss.detach())
        if loss.device == CPU or len(self._waiting) == _LOOKED_AT_TOGETHER:
            self._look()

    def result(self) -> TrainingResult:
        """Sum up the loop.

        Raises:
            TrainingError: one of the last losses is not finite.
        """
        self._look()
        last = self._values[-max(1, len(self._values) // 4) :]
        return TrainingResult(
            loss=sum(last) / len(last) if last else math.nan,
            steps=len(self._values),
            seconds=time.perf_counter() - self._started,
        )

    def _look(self) -> None:
        if not self._waiting:
            return
        values = fetch(torch.stack(self._waiting)).tolist()
        self._waiting.clear()
        for value in values:
            if not math.isfinite(value):
                raise TrainingError(f"the training loss became {value}", "lower the learning rate")
        self._values += values
