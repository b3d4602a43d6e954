"""Hessian sensitivity: Hutchinson's trace times the squared quantization error, as in HAWQ."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, Batches, count_images, keep_batches
from quant.sensitivities.noise import activation_noise, weight_noise
from quant.sensitivities.table import SensitivityTable, TensorWidth
from quant.sensitivities.taps import Taps, tensors_read
from quant.tensors.devices import has_float64
from quant.tensors.moving import fetch, like, number

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


def hessian_traces(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    *,
    loss: Loss = CROSS_ENTROPY,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
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
        progress: Called with (blocks done, blocks in all), each batch's counted anew.

    Raises:
        BitAllocError: there are no images.

    Source: Hutchinson 1990; Dong et al. 2020, "HAWQ-V2" (NeurIPS), for weights and activations.
    """
    batches = keep_batches(batches)
    count = count_images(batches)
    names = _blocks(network)
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(draws, len(names), dtype=torch.float64)
    total_loss = 0.0
    for done, (images, labels) in enumerate(batches):
        # Attention has second derivatives where it is computed step by step alone.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            taps = Taps(network, images)
            batch_loss = loss.total(taps.network_outputs, labels)
            total_loss += number(batch_loss)
            blocks: list[torch.Tensor] = [
                network.layer(n).weight for kind, n in names if kind == "weight"
            ]
            blocks += [taps.inputs[node] for kind, node in names if kind == "input"]
            gradients = torch.autograd.grad(
                batch_loss, blocks, create_graph=True, materialize_grads=True
            )
            for position, (gradient, block) in enumerate(zip(gradients, blocks, strict=True)):
                for draw in range(draws):
                    curvature = _curvature(gradient, block, generator)
                    found[draw, position] += curvature / count
                if progress:
                    progress(done * len(names) + position + 1, len(batches) * len(names))
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

    Raises:
        BitAllocError: there are no images.

    Source: Yao et al. 2021, "HAWQ-V3" (ICML), section 3.3, which leaves out the factor one half;
    activations after Dong et al. 2020, "HAWQ-V2", section 3.3.
    """
    started, batches = time.perf_counter(), keep_batches(batches)
    traces = hessian_traces(network, batches, loss=loss, draws=draws, seed=seed, progress=progress)
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
        seconds=time.perf_counter() - started,
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


def _blocks(network: QuantizedNetwork) -> list[tuple[str, str]]:
    """Name the blocks of the Hessian: each layer's weight, and each node that layers read."""
    order = [layer.name for layer in network.layers]
    readings = [one for readings in tensors_read(network).values() for one in readings]
    nodes = dict.fromkeys(one.node for one in sorted(readings, key=lambda r: order.index(r.layer)))
    return [
        *(("weight", layer.name) for layer in network.weight_layers),
        *(("input", node) for node in nodes),
    ]


def _curvature(gradient: torch.Tensor, block: torch.Tensor, generator: torch.Generator) -> float:
    """Return `v' H v` of one block for random signs v."""
    if not gradient.requires_grad:  # the loss is not of what this block is computed for
        return 0.0
    drawn = torch.randint(0, 2, block.shape, generator=generator, dtype=block.dtype) * 2 - 1
    signs = like(drawn, block)
    (product,) = torch.autograd.grad(
        gradient, block, grad_outputs=signs, retain_graph=True, materialize_grads=True
    )
    along = signs * product
    return number((along if has_float64(along.device) else fetch(along)).sum(dtype=torch.float64))
