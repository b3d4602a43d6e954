"""Float training from scratch: the network that every allocation starts from."""

import math
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

import torch
from torch import nn

from quant.errors import TrainingError
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.outputs import as_outputs
from quant.records.progress import Progress
from quant.records.ranges import Count, Natural, Positive, Share, at_least, check_ranges
from quant.retraining.loop import (
    Augment,
    Losses,
    TrainingResult,
    cosine,
    index_batches,
)
from quant.tensors.images import Images, in_batches
from quant.tensors.moving import device_of, move

_SECOND_DECAY = 0.999
"""AdamW's decay rate of squared gradients."""

FloatOptimizer = Literal["sgd", "adamw"]
"""What a float network descends by; see `TrainConfig.optimizer`."""


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
    """Momentum of stochastic gradient descent; AdamW's first decay rate."""
    weight_decay: Annotated[float, at_least(0)] = 5e-4
    """L2 penalty on every parameter; of AdamW, decay of the parameters of two or more axes."""
    optimizer: FloatOptimizer = "sgd"
    """Stochastic gradient descent with Nesterov's momentum, or AdamW, without which networks of
    tokens hardly train."""
    warm_up: Share = 0.0
    """Share of the steps in which the rate rises to its largest."""

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            TrainingError: a value is out of its range.
        """
        check_ranges(self, "", TrainingError)


def train_float(
    module: nn.Module,
    images: Images,
    labels: torch.Tensor,
    config: TrainConfig,
    *,
    seed: int,
    loss: Loss = CROSS_ENTROPY,
    augment: Augment | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a float module in place, along a cosine schedule.

    Of several outputs the main one is trained (see `main_tensor`); what a module returns beside it
    in training alone, as for an auxiliary loss, is left as it is.

    Args:
        module: The network, on any device; its initial weights are the caller's.
        images: Training images, float32 `[N, C, H, W]`, in memory or streamed.
        labels: `[N, ...]`, as the loss takes them.
        config: Epochs and rates.
        seed: Orders the images.
        loss: What it is trained by.
        augment: Changes a batch of images, with the loop's generator; of streamed images, whose
            batches are ordered ahead, with one of its own.
        progress: Called with (steps done, steps in all).

    Raises:
        TrainingError: the loss is not finite.
    """
    optimizer = _optimizer(module, config)
    total = config.epochs * math.ceil(len(images) / config.batch_size)
    rising = int(config.warm_up * total)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / (rising + 1)) * cosine(s, total)
    )
    generator = torch.Generator().manual_seed(seed)
    batches = islice(index_batches(len(images), config.batch_size, generator), total)
    in_order = isinstance(images, torch.Tensor)
    draws = generator if in_order else torch.Generator().manual_seed(seed + 1)
    losses, device = Losses(), device_of(module)
    module.train()
    for step, (_, picked, as_they_are) in enumerate(in_batches(images, batches)):
        batch = augment(as_they_are, draws) if augment else as_they_are
        optimizer.zero_grad(set_to_none=True)
        found = loss.mean(as_outputs(module(move(batch, device))), labels[picked])
        losses.note(found)
        found.backward()
        optimizer.step()
        schedule.step()
        if progress:
            progress(step + 1, total)
    module.eval()
    return losses.result()


def _optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            module.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=True,
        )
    # Biases, norms and scales of channels would only be pulled away from where they work.
    matrices = [value for value in module.parameters() if value.ndim > 1]
    others = [value for value in module.parameters() if value.ndim <= 1]
    groups = [
        {"params": values, "weight_decay": decay}
        for values, decay in ((matrices, config.weight_decay), (others, 0.0))
        if values
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.momentum, _SECOND_DECAY)
    )
