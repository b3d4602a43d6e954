"""Shared weights: one training in which each batch has bits of its own, and shows what they do.

Source: Yu et al. 2020, "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models"
(ECCV), the sandwich rule; Dotzel et al. 2024, "FLIQS: One-Shot Mixed-Precision Floating-Point and
Integer Quantization Search", which samples precisions batch by batch.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
from quant.retraining.basis import Basis
from quant.retraining.finetune import Batch, blended_loss, train_steps
from quant.retraining.finetune_config import FinetuneConfig, held_back_count, images_seen
from quant.retraining.loop import TrainingResult, index_batches
from quant.tensors.moving import number

Asked = Callable[[], Allocation]
"""Returns the next batch's bits."""
Seen = Callable[[Allocation, float, int], None]
"""Told of each batch its bits, how far its loss is above its loss at all-8, and its images."""


def train_shared(
    network: QuantizedNetwork, basis: Basis, asked: Asked, seen: Seen, *, seed: int
) -> TrainingResult:
    """Train all widths together: every batch at all-8 and at what is asked for, half and half.

    Both see the same weights and the same images, so that what their losses differ by is the bits'
    doing. Equal networks, seeds and askers give equal results to the bit on one machine.

    Args:
        network: Calibrated, at the float checkpoint; trained in place.
        basis: Images, teacher, loss, and `config.steps` steps.
        asked: Called once before the first step, too: rates are what its damage asks for.
        seen: Called before each step.
        seed: Orders the images.

    Raises:
        TrainingError: a loss is not finite.
    """
    config, loss, data = basis.config, basis.loss, basis.data
    all_8 = Allocation.uniform(network.layers, MAX_BITS)

    def batch_loss(batch: Batch) -> torch.Tensor:
        images, labels, key = batch
        weight = config.teacher_weight
        taught = data.taught(images, key) if weight > 0 else None
        losses, found = [], []
        for allocation in (all_8, asked()):
            network.set_allocation(allocation)
            with network.stepping():
                outputs = network(images)
            with torch.set_grad_enabled(weight < 1):  # else it is looked at and not trained by
                by_labels = loss.mean(outputs, labels)
            losses.append(blended_loss(by_labels, outputs, taught, loss, weight))
            found.append(by_labels.detach())
        seen(allocation, number(found[1] - found[0]), len(images))
        return (losses[0] + losses[1]) / 2

    network.set_allocation(asked())
    reach = basis.reach(basis.held_back_loss(network))
    return train_steps(
        network,
        data,
        config,
        basis.deviations(),
        reach,
        index_batches(len(data), config.batch_size, torch.Generator().manual_seed(seed)),
        steps=config.steps,
        warm_up_steps=config.warm_up_steps,
        batch_loss=batch_loss,
    )


def shared_images_seen(config: FinetuneConfig, count: int) -> int:
    """Return how many of `count` training images such a training looks at, repeats counted."""
    plain = replace(config, scale_images=0, compensation_images=0, held_back_images=0)
    held_back = held_back_count(config, count)
    return 2 * images_seen(plain, count - held_back) + held_back
