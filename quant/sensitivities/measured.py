"""The plain measured sensitivity: how much the loss rises with one tensor at b bits."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, Batches, count_images, keep_batches
from quant.sensitivities.table import SensitivityTable, TensorWidth
from quant.sensitivities.taps import tensors_read
from quant.tensors.moving import number

LossesAt = Callable[[Sequence[Allocation]], Iterable[float]]
"""Takes allocations, and returns the mean loss at each, in this order."""


def measured_sensitivity(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    bit_choices: Sequence[int],
    *,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
    losses: LossesAt | None = None,
) -> SensitivityTable:
    """Measure the loss with exactly one tensor at each bit choice, the rest at 8 bits.

    Args:
        network: Calibrated; its allocation is put back afterwards.
        batches: Images and labels; gone through once for each tensor and width.
        bit_choices: Widths to try.
        loss: What rises.
        progress: Called with (losses done, losses in all).
        losses: Others who look at the same images of the same network; None: this process does.

    Raises:
        BitAllocError: there are no images.
    """
    started, batches = time.perf_counter(), keep_batches(batches)
    images = count_images(batches)
    before = network.allocation
    base = Allocation.uniform(network.layers, MAX_BITS)
    plan = list(_variants(network, base, bit_choices))
    rises: dict[TensorWidth, float] = {}
    others = [allocation for _, allocation in plan if allocation != base]
    losses = losses or partial(losses_at, network, batches=batches, loss=loss)
    try:
        found = iter(losses([base, *others]))
        base_loss = next(found)
        for done, (parts, allocation) in enumerate(plan, start=1):
            reached = base_loss if allocation == base else next(found)
            for part in parts:
                rises[part] = reached - base_loss
            if progress:
                progress(done, len(plan))
    finally:
        network.set_allocation(before)
    return SensitivityTable(
        kind="measured",
        rises=rises,
        base_loss=base_loss,
        images=images,
        samples=(1 + len(others)) * images,
        seconds=time.perf_counter() - started,
    )


def _variants(
    network: QuantizedNetwork, base: Allocation, bit_choices: Sequence[int]
) -> list[tuple[list[TensorWidth], Allocation]]:
    plan: list[tuple[list[TensorWidth], Allocation]] = []
    for bits in bit_choices:
        for layer in network.weight_layers:
            changed = dict(base.items)
            changed[layer.name] = replace(changed[layer.name], weight_bits=bits)
            plan.append(([(layer.name, "weight", bits)], Allocation.of(changed)))
        for readings in tensors_read(network).values():
            changed = dict(base.items)
            for one in readings:
                changed[one.layer] = replace(changed[one.layer], **{f"{one.kind}_bits": bits})
            parts = [(one.layer, one.kind, bits) for one in readings]
            plan.append((parts, Allocation.of(changed)))
    return plan


def losses_at(
    network: QuantizedNetwork, allocations: Iterable[Allocation], batches: Batches, loss: Loss
) -> Iterator[float]:
    """Yield the mean loss of a network as it is at each allocation; the last one stays set."""
    for allocation in allocations:
        network.set_allocation(allocation)
        yield _mean_loss(network, batches, loss)


@torch.no_grad()
def _mean_loss(network: QuantizedNetwork, batches: Batches, loss: Loss) -> float:
    total = 0.0
    for images, labels in batches:
        total += number(loss.total(network(images), labels))
    return total / count_images(batches)
