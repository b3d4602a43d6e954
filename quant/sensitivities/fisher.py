"""Fisher sensitivity: gradient power times quantization noise, as in FIT and QBitOpt."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from quant.layers import LayerSpec
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, count_images, keep_batches
from quant.sensitivities.table import SensitivityTable, TensorWidth
from quant.sensitivities.taps import Taps, sources_of, tensors_read
from quant.tensors.moving import number

_IMAGES_AT_A_TIME = 16
"""Images whose weight gradients are held together, each as large as the layer's weight."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FisherTraces:
    """Traces of the empirical Fisher matrix: mean squared norm of one image's gradient."""

    weights: Mapping[str, float]
    """By layer, of the gradient of its weight."""
    activations: Mapping[str, float]
    """By tensor, of the gradient of the values that layers read; the input is not among them."""
    base_loss: float
    """Mean loss in float."""
    images: int


def fisher_traces(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    *,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
) -> FisherTraces:
    """Return the Fisher traces of every weight and tensor of the float network.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels, gone through once, with one backward pass each.
        loss: Whose gradients these are.
        progress: Called with (batches done, batches in all).

    Raises:
        BitAllocError: there are no images.

    Source: Zandonati et al. 2023, "FIT: A Metric for Model Sensitivity" (ICLR), the empirical
    Fisher trace; reconstructed.
    """
    batches = keep_batches(batches)
    sources, readers = sources_of(network), tensors_read(network)
    weights = dict.fromkeys((layer.name for layer in network.weight_layers), 0.0)
    activations = dict.fromkeys(readers, 0.0)
    total_loss = 0.0
    for done, (images, labels) in enumerate(batches, start=1):
        with torch.enable_grad():
            taps = Taps(network, images)
            batch_loss = loss.total(taps.network_outputs, labels)
            total_loss += number(batch_loss)
            outputs = [taps.outputs[layer.name] for layer in network.weight_layers]
            nodes = [node for node, value in taps.inputs.items() if value.requires_grad]
            gradients = torch.autograd.grad(
                batch_loss,
                [*outputs, *(taps.inputs[node] for node in nodes)],
                materialize_grads=True,  # zeros where the loss is not of this output
            )
        at_outputs = gradients[: len(outputs)]
        at_inputs = dict(zip(nodes, gradients[len(outputs) :], strict=True))
        with torch.no_grad():
            for layer, gradient in zip(network.weight_layers, at_outputs, strict=True):
                values = taps.inputs[sources[layer.name]]
                weights[layer.name] += _weight_gradient_power(layer, values, gradient)
            for tensor, readings in readers.items():
                for node in dict.fromkeys(reading.node for reading in readings):
                    activations[tensor] += number(at_inputs[node].square().sum())
        if progress:
            progress(done, len(batches))
    count = count_images(batches)
    return FisherTraces(
        weights={name: total / count for name, total in weights.items()},
        activations={name: total / count for name, total in activations.items()},
        base_loss=total_loss / count,
        images=count,
    )


def fisher_sensitivity(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    bit_choices: Sequence[int],
    *,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
) -> SensitivityTable:
    """Estimate the rise of the loss as half the Fisher trace times the mean squared noise.

    Noise is taken to be uniform within a step, `step**2 / 12`, and independent of the gradient.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels, gone through once.
        bit_choices: Widths.
        loss: What rises.
        progress: Called with (batches done, batches in all).

    Raises:
        BitAllocError: there are no images.

    Source: Zandonati et al. 2023 (FIT); Peters et al. 2023 (QBitOpt) weigh noise by the same
    traces. Both reconstructed; FIT as published leaves out the factor one half.
    """
    started = time.perf_counter()
    traces = fisher_traces(network, batches, loss=loss, progress=progress)
    rises: dict[TensorWidth, float] = {}
    for bits in bit_choices:
        for layer in network.weight_layers:
            noise = step_noise(network.layer(layer.name).quantizer.step(bits))
            rises[layer.name, "weight", bits] = 0.5 * traces.weights[layer.name] * noise
        for tensor, readings in tensors_read(network).items():
            noise = step_noise(network.tensor(tensor).step(bits))
            for one in readings:
                rises[one.layer, one.kind, bits] = 0.5 * traces.activations[tensor] * noise
    return SensitivityTable(
        kind="fisher",
        rises=rises,
        base_loss=traces.base_loss,
        images=traces.images,
        samples=traces.images,
        seconds=time.perf_counter() - started,
    )


def step_noise(steps: torch.Tensor) -> float:
    """Return the mean squared error of rounding to multiples of steps, `[channels]` or a scalar."""
    return number(steps.square().mean()) / 12.0


def _weight_gradient_power(layer: LayerSpec, x: torch.Tensor, gradient: torch.Tensor) -> float:
    """Return the squared norms of the images' weight gradients, summed.

    Args:
        layer: The layer.
        x: What it read, float32 `[N, C, H, W]` or `[N, F]`.
        gradient: At its output, `[N, out, ...]`.
    """
    if layer.kind == "linear" and x.ndim == 2:  # an outer product: so is its norm
        return number((x.square().sum(1) * gradient.square().sum(1)).sum())
    total = 0.0
    for part, at_output in zip(
        x.split(_IMAGES_AT_A_TIME), gradient.split(_IMAGES_AT_A_TIME), strict=True
    ):
        patches = functional.unfold(
            part, layer.kernel, layer.dilation, layer.padding, layer.stride
        )  # [N, channels * kernel, pixels]
        grouped = patches.reshape(len(part), layer.groups, layer.products, -1)
        outputs = at_output.reshape(len(part), layer.groups, -1, patches.shape[2])
        total += number((outputs @ grouped.transpose(2, 3)).square().sum())
    return total
