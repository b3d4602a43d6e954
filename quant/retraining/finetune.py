"""Finetuning: some steps at the current bits, taught by labels and by the float network."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import nn

from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.outputs import Outputs
from quant.records.progress import Progress
from quant.retraining.descent import descent_for
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.loop import Losses, TrainingResult, cosine, index_batches
from quant.retraining.training_images import BatchKey, TrainingImages
from quant.tensors.images import Numbered

Batch = tuple[torch.Tensor, torch.Tensor, BatchKey]
"""Images, labels, and the key of the teacher's outputs."""
BatchLoss = Callable[[Batch], torch.Tensor]
"""Returns the loss of a batch, a scalar with a gradient."""


def finetune(
    network: QuantizedNetwork,
    data: TrainingImages,
    config: FinetuneConfig,
    deviations: dict[str, float],
    reach: float,
    *,
    seed: int,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train at the current allocation; weights and steps go on from where they are.

    The same network, data, config and seed give the same result to the bit on one machine.

    Args:
        network: Calibrated, with an allocation set (float works too).
        data: What is trained on.
        config: Steps and rates.
        deviations: Of the layers' outputs, as `output_deviations` returns them.
        reach: How far values move, as `reach_of` returns it.
        seed: Orders the images.
        loss: What it is trained by, beside the teacher.
        progress: Called with (steps done, steps in all).

    Raises:
        TrainingError: the loss is not finite.
    """
    batches = index_batches(len(data), config.batch_size, torch.Generator().manual_seed(seed))
    return train_steps(
        network,
        data,
        config,
        deviations,
        reach,
        batches,
        steps=config.steps,
        warm_up_steps=config.warm_up_steps,
        loss=loss,
        progress=progress,
    )


def train_steps(
    network: QuantizedNetwork,
    data: TrainingImages,
    config: FinetuneConfig,
    deviations: dict[str, float],
    reach: float,
    batches: Iterator[Numbered],
    *,
    steps: int,
    warm_up_steps: int,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
    batch_loss: BatchLoss | None = None,
) -> TrainingResult:
    """Train so many steps, whatever the configuration's are: rates rise and fall within them.

    Args:
        network: As for `finetune`.
        data: As for `finetune`.
        config: As for `finetune`.
        deviations: As for `finetune`.
        reach: As for `finetune`.
        batches: (pass, positions) of the images of each step; the next ones are taken.
        steps: How many.
        warm_up_steps: In how many of them the rates rise.
        loss: As for `finetune`.
        progress: Called with (steps done, steps in all).
        batch_loss: What each step brings down; None: the network's loss at its present bits.

    Raises:
        TrainingError: the loss is not finite.
    """
    descent = descent_for(network, config, deviations, reach)
    trained = [value for value in network.parameters() if value.requires_grad]
    average = _Average(trained, config.averaging)
    losses = Losses()
    network.train()
    for step, batch in enumerate(data.batches(islice(batches, steps))):
        network.zero_grad(set_to_none=True)
        if batch_loss is None:
            found = _batch_loss(network, data, batch, loss, config.teacher_weight)
        else:
            found = batch_loss(batch)
        losses.note(found)
        found.backward()
        if config.clip_norm:
            nn.utils.clip_grad_norm_(trained, config.clip_norm)
        rise = min(1.0, (step + 1) / warm_up_steps) if warm_up_steps else 1.0
        descent.step(rise * cosine(step, steps))
        network.note_training_step()
        average.note()
        if progress:
            progress(step + 1, steps)
    average.put_back()
    network.eval()
    return losses.result()


def training_loss(
    outputs: Outputs,
    labels: torch.Tensor,
    taught: Outputs | None,
    loss: Loss,
    teacher_weight: float,
) -> torch.Tensor:
    """Return the loss by the labels, the distance from the teacher, or a mean of both.

    Args:
        outputs: What the network returned.
        labels: `[N, ...]`; looked at only where `teacher_weight` is below 1.
        taught: The float network's, as `outputs`; None where `teacher_weight` is 0.
        loss: By the labels, and how far outputs are from the teacher's.
        teacher_weight: Share of the teacher.
    """
    by_labels = loss.mean(outputs, labels) if teacher_weight < 1 else None
    return blended_loss(by_labels, outputs, taught, loss, teacher_weight)


def blended_loss(
    by_labels: torch.Tensor | None,
    outputs: Outputs,
    taught: Outputs | None,
    loss: Loss,
    teacher_weight: float,
) -> torch.Tensor:
    """Return what `training_loss` does, of a loss by the labels that is known.

    Args:
        by_labels: The mean over the images; of no account where `teacher_weight` is 1.
        outputs: As for `training_loss`.
        taught: As for `training_loss`.
        loss: Says how far outputs are from the teacher's.
        teacher_weight: Share of the teacher.
    """
    found = torch.zeros(())
    if by_labels is not None and teacher_weight < 1:
        found = found + (1 - teacher_weight) * by_labels
    if taught is not None and teacher_weight > 0:
        found = found + teacher_weight * loss.teach(outputs, taught)
    return found


def _batch_loss(
    network: QuantizedNetwork,
    data: TrainingImages,
    batch: Batch,
    loss: Loss,
    teacher_weight: float,
) -> torch.Tensor:
    images, labels, key = batch
    with network.stepping():
        outputs: Outputs = network(images)
    taught = data.taught(images, key) if teacher_weight > 0 else None
    return training_loss(outputs, labels, taught, loss, teacher_weight)


class _Average:
    """The running mean of parameters: what single steps do at random cancels in it.

    Source: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging", with
    weights that fall exponentially into the past.
    """

    def __init__(self, values: Iterable[nn.Parameter], share: float) -> None:
        self._values = list(values) if share else []
        self._means: list[torch.Tensor] = []
        self._share = share

    @torch.no_grad()
    def note(self) -> None:
        if not self._means:
            self._means = [value.clone() for value in self._values]
        for mean, value in zip(self._means, self._values, strict=True):
            mean.lerp_(value, 1 - self._share)

    @torch.no_grad()
    def put_back(self) -> None:
        for mean, value in zip(self._means, self._values, strict=bool(self._means)):
            value.copy_(mean)
