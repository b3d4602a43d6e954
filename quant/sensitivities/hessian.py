"""Hessian sensitivity: Hutchinson's trace times the squared quantization error, as in HAWQ."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, Batches, count_images, keep_batches
from quant.sensitivities.curvatures import CurvaturesOf, Signs, blocks_of, curvatures
from quant.sensitivities.noise import activation_noise, weight_noise
from quant.sensitivities.table import SensitivityTable, TensorWidth
from quant.sensitivities.taps import Taps, tensors_read
from quant.tensors.moving import number

DRAWS = 8
"""Random vectors for each block and batch; the standard errors say whether they were enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HessianTraces:
    """Traces of the mean loss's second derivatives, block by block."""

    weights: Mapping[str, float]
    """By layer, over its weight."""
    activations: Mapping[str, float]
    """By tensor, over the values of one image that layers read, the mean over images."""
    standard_errors: Mapping[str, float]
    """Of the weights' traces, from the spread over random vectors; NaN for a single one."""
    base_loss: float
    """Mean loss in float."""
    images: int
    samples: int
    """Images that went through the network, each random vector counted as another pass."""
    seconds: float = 0.0
    """Wall seconds that the estimate took."""


def hessian_traces(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    *,
    loss: Loss = CROSS_ENTROPY,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
    elsewhere: CurvaturesOf | None = None,
) -> HessianTraces:
    """Estimate the traces with random signs v, whose `v' H v` has the trace as its mean.

    Each block, a layer's weight or the values read of a tensor, has vectors of its own. One vector
    for all blocks at once would be cheaper and unbiased too, but small blocks would drown in what
    large ones do to them (on a small network that was six to
    twenty-seven times their own spread).

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels, gone through once.
        loss: Whose second derivatives these are.
        draws: Random vectors for each block and batch.
        seed: Of the random vectors.
        progress: Called with (blocks done, blocks in all), each batch's counted anew; where others
            do the work, with (batches done, batches in all).
        elsewhere: Others who look at the same images of the same network; None: this process does.

    Raises:
        BitAllocError: there are no images.

    Source: Hutchinson 1990; Dong et al. 2020, "HAWQ-V2" (NeurIPS), for weights and activations.
    """
    started, batches = time.perf_counter(), keep_batches(batches)
    count, names = count_images(batches), blocks_of(network)
    found = torch.zeros(draws, len(names), dtype=torch.float64)
    total_loss = 0.0
    signs = Signs(draws=draws, seed=seed)
    each = (
        curvatures(network, batches, signs, loss=loss, progress=progress)
        if elsewhere is None
        else elsewhere(signs, len(batches), len(names))
    )
    for done, batch in enumerate(each, start=1):
        total_loss += batch.loss
        found += batch.found / count
        if progress and elsewhere is not None:
            progress(done, len(batches))
    means = dict(zip(names, found.mean(0).tolist(), strict=True))
    spreads = found.std(0) if draws > 1 else torch.full_like(found[0], math.nan)
    errors = dict(zip(names, (spreads / math.sqrt(draws)).tolist(), strict=True))
    return HessianTraces(
        weights={layer.name: means["weight", layer.name] for layer in network.weight_layers},
        activations={
            tensor: sum(
                means["input", node] for node in dict.fromkeys(reading.node for reading in readings)
            )
            for tensor, readings in tensors_read(network).items()
        },
        standard_errors={
            layer.name: errors["weight", layer.name] for layer in network.weight_layers
        },
        base_loss=total_loss / count,
        images=count,
        samples=count * (1 + draws * len(names)),
        seconds=time.perf_counter() - started,
    )


def hessian_sensitivity(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    bit_choices: Sequence[int],
    *,
    loss: Loss = CROSS_ENTROPY,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
    traces: HessianTraces | None = None,
) -> SensitivityTable:
    """Estimate the rise of the loss as half the mean curvature times the squared error.

    `0.5 * trace / n * ||Q_b(x) - x||**2` for each weight and tensor of n values; negative traces,
    which a network that is no minimum can have, count as zero.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels.
        bit_choices: Widths.
        loss: Whose second derivatives these are.
        draws: Random vectors for each block and batch.
        seed: Of the random vectors.
        progress: Called with (blocks done, blocks in all), each batch's counted anew.
        traces: What `hessian_traces` came to of the same, where that is known.

    Raises:
        BitAllocError: there are no images.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.3, which leaves out the factor one half;
    activations after Dong et al. 2020, "HAWQ-V2", section 3.3.
    """
    batches = keep_batches(batches)
    traces = traces or hessian_traces(
        network, batches, loss=loss, draws=draws, seed=seed, progress=progress
    )
    started = time.perf_counter()
    rises: dict[TensorWidth, float] = {}
    for bits in bit_choices:
        for layer in network.weight_layers:
            error = weight_noise(network, layer.name, bits)
            curvature = max(0.0, traces.weights[layer.name]) / error.numel()
            rises[layer.name, "weight", bits] = 0.5 * curvature * number(error.square().sum())
    _add_activations(network, batches, bit_choices, traces, rises)
    return SensitivityTable(
        kind="hessian",
        rises=rises,
        base_loss=traces.base_loss,
        images=traces.images,
        samples=traces.samples + traces.images,
        seconds=traces.seconds + time.perf_counter() - started,
    )


@torch.no_grad()
def _add_activations(
    network: QuantizedNetwork,
    batches: Batches,
    bit_choices: Sequence[int],
    traces: HessianTraces,
    rises: dict[TensorWidth, float],
) -> None:
    readers = tensors_read(network)
    errors = {(tensor, bits): 0.0 for tensor in readers for bits in bit_choices}
    values = dict.fromkeys(readers, 0)
    for images, _ in batches:
        taps = Taps(network, images)
        for tensor, readings in readers.items():
            for node in dict.fromkeys(reading.node for reading in readings):
                read = taps.inputs[node]
                values[tensor] += read.numel()
                for bits in bit_choices:
                    error = activation_noise(network, tensor, read, bits)
                    errors[tensor, bits] += number(error.square().sum())
    for (tensor, bits), squared in errors.items():
        # Mean curvature times one image's squared error is the trace times the mean square.
        rise = 0.5 * max(0.0, traces.activations[tensor]) * squared / values[tensor]
        for one in readers[tensor]:
            rises[one.layer, one.kind, bits] = rise
