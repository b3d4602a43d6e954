"""Training loops: float training from scratch, and finetuning at the sampled bits."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional

from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.progress import Progress
from quant.records.ranges import Count, Natural, Positive, at_least, check_ranges
from quant.retraining.compensation import compensate

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """How a network is retrained at the bits of one allocation."""

    steps: Natural = 60
    """Optimizer steps for each evaluation."""
    batch_size: Count = 64
    """Images in a step."""
    learning_rate: Positive = 0.01
    """Largest learning rate of weights and biases; it falls to zero along a cosine."""
    step_learning_rate: Positive = 0.01
    """Largest learning rate of the quantizers' steps."""
    momentum: Annotated[float, at_least(0)] = 0.9
    """Momentum of stochastic gradient descent."""
    weight_decay: Annotated[float, at_least(0)] = 1e-4
    """L2 penalty on weights and biases; none on the quantizers' steps."""
    compensation_images: Natural = 0
    """Training images over which weights are rounded so that their errors cancel, before the first
    step (see `quant.retraining.compensation`); 0: none. With no steps at all, quantization after
    training."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            TrainingError: a value is out of its range.
        """
        check_ranges(self, "", TrainingError)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How a float network is trained from scratch."""

    epochs: Natural = 20
    """Passes over the training images."""
    batch_size: Count = 64
    """Images in a step."""
    learning_rate: Positive = 0.1
    """Largest learning rate; it falls to zero along a cosine."""
    momentum: Annotated[float, at_least(0)] = 0.9
    """Momentum of stochastic gradient descent."""
    weight_decay: Annotated[float, at_least(0)] = 5e-4
    """L2 penalty on every parameter."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            TrainingError: a value is out of its range.
        """
        check_ranges(self, "", TrainingError)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneResult:
    """What a training loop did."""

    loss: float
    """Mean training loss of the last quarter of the steps; NaN when there were none."""
    steps: int
    seconds: float


def finetune(
    network: QuantizedNetwork,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: FinetuneConfig,
    *,
    seed: int,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Retrain at the current allocation; weights and steps go on from where they are.

    The same network, data, config and seed give the same result to the bit on one machine.

    Args:
        network: Calibrated, with an allocation set (float works too).
        images: Training images, float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        config: Steps and rates.
        seed: Orders the images.
        progress: Called with (steps done, steps in all).

    Raises:
        TrainingError: the loss is not finite.
    """
    optimizer = torch.optim.SGD(
        [
            {"params": network.weight_parameters(), "weight_decay": config.weight_decay},
            {
                "params": network.step_parameters(),
                "weight_decay": 0.0,
                "lr": config.step_learning_rate,
            },
        ],
        lr=config.learning_rate,
        momentum=config.momentum,
    )
    generator = torch.Generator().manual_seed(seed)
    batches = _batches(len(images), config.batch_size, generator)
    started, losses = time.perf_counter(), []
    if config.compensation_images and network.allocation is not None:
        compensate(network, images[: config.compensation_images])
    network.train()
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _cosine(s, config.steps))
    for step in range(config.steps):
        picked = next(batches)
        losses.append(_step(network, optimizer, images[picked], labels[picked]))
        schedule.step()
        network.note_training_step()
        if progress:
            progress(step + 1, config.steps)
    network.eval()
    return _result(losses, started)


def images_seen(config: FinetuneConfig, count: int) -> int:
    """Return how many images `finetune` sees, repeats counted, of a set of `count`."""
    passes, steps = divmod(config.steps, math.ceil(count / config.batch_size))
    trained_on = passes * count + steps * config.batch_size
    return trained_on + min(config.compensation_images, count)


def train_float(
    module: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: TrainConfig,
    *,
    seed: int,
    augment: Augment | None = None,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Train a float module in place with SGD and a cosine schedule.

    Args:
        module: The network; its initial weights are the caller's.
        images: Training images, float32 `[N, C, H, W]`.
        labels: int64 `[N]`.
        config: Epochs and rates.
        seed: Orders the images.
        augment: Changes a batch of images, with the loop's generator.
        progress: Called with (steps done, steps in all).

    Raises:
        TrainingError: the loss is not finite.
    """
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=True,
    )
    total = config.epochs * math.ceil(len(images) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _cosine(s, total))
    generator = torch.Generator().manual_seed(seed)
    batches = _batches(len(images), config.batch_size, generator)
    started, losses = time.perf_counter(), []
    module.train()
    for step in range(total):
        picked = next(batches)
        batch = augment(images[picked], generator) if augment else images[picked]
        losses.append(_step(module, optimizer, batch, labels[picked]))
        schedule.step()
        if progress:
            progress(step + 1, total)
    module.eval()
    return _result(losses, started)


def _step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(module(images), labels)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(f"the training loss became {value}", "lower the learning rate")
    loss.backward()
    optimizer.step()
    return value


def _result(losses: list[float], started: float) -> FinetuneResult:
    last = losses[-max(1, len(losses) // 4) :]
    return FinetuneResult(
        loss=sum(last) / len(last) if last else math.nan,
        steps=len(losses),
        seconds=time.perf_counter() - started,
    )


def _cosine(step: int, total: int) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * step / max(1, total)))


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield index batches for ever, each pass in a new order; the short last batch is kept."""
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order.split(size)
