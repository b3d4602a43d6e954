"""What training loops share: the order of images, the schedule, and what is said at the end."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from quant.errors import TrainingError

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""Changes a batch of images `[N, ...]`, with draws from the generator."""


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


def check_finite(loss: torch.Tensor) -> float:
    """Return a batch's loss.

    Raises:
        TrainingError: it is not finite.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(f"the training loss became {value}", "lower the learning rate")
    return value


def result_of(losses: Sequence[float], started: float) -> TrainingResult:
    """Sum up a loop that began at `started`, of `time.perf_counter`."""
    last = losses[-max(1, len(losses) // 4) :]
    return TrainingResult(
        loss=sum(last) / len(last) if last else math.nan,
        steps=len(losses),
        seconds=time.perf_counter() - started,
    )
