"""Second-order sensitivity by the Gauss-Newton matrix of the label's output, as in MCKP."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch

from quant.capture.float_operators import layer_value
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, count_images, keep_batches
from quant.sensitivities.noise import activation_noise, weight_noise
from quant.sensitivities.table import SensitivityTable, TensorWidth
from quant.sensitivities.taps import Taps, sources_of, tensors_read
from quant.tensors.moving import number


def gauss_newton_sensitivity(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    bit_choices: Sequence[int],
    *,
    loss: Loss = CROSS_ENTROPY,
    progress: Progress | None = None,
) -> SensitivityTable:
    """Estimate the rise of the loss from each image's derivative along the quantization error.

    With z the probability of image i's label, the cross-entropy `-ln z` has second derivative
    `1 / z**2` in z, and its Gauss-Newton term along the error d of one tensor is
    `(<d, dz/dtensor> / z)**2`. Its mean over images, halved, is the rise; the first-order term is
    taken to vanish at a trained network. For weights d is `Q_b(W) - W`, the same for all images;
    for activations it is the image's own `Q_b(a) - a`.

    One backward pass for each batch, and one pass of each layer at each width: the derivative
    along d is the inner product of what the layer makes of d and the gradient at its output.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels, gone through once.
        bit_choices: Widths.
        loss: What rises. Of one that is no logarithm of a probability the estimates rank tensors,
            and their scale means nothing.
        progress: Called with (batches done, batches in all).

    Raises:
        BitAllocError: there are no images.

    Source: Chen, Wang, Cheng 2021, "Towards Mixed-Precision Quantization of Neural Networks via
    Constrained Optimization" (arXiv 2110.06554), for weights, reconstructed from a third party's
    use of it; activations are treated likewise.
    """
    started, batches = time.perf_counter(), keep_batches(batches)
    squares: dict[TensorWidth, float] = defaultdict(float)
    total_loss = 0.0
    for done, (images, labels) in enumerate(batches, start=1):
        total_loss += _add_batch(network, (images, labels), bit_choices, squares, loss)
        if progress:
            progress(done, len(batches))
    count = count_images(batches)
    return SensitivityTable(
        kind="gauss-newton",
        rises={part: total / (2 * count) for part, total in squares.items()},
        base_loss=total_loss / count,
        images=count,
        samples=count,
        seconds=time.perf_counter() - started,
    )


def _add_batch(
    network: QuantizedNetwork,
    batch: Batch,
    bit_choices: Sequence[int],
    squares: dict[TensorWidth, float],
    loss: Loss,
) -> float:
    """Add each image's squared derivative along each error, and return the summed loss."""
    images, labels = batch
    with torch.enable_grad():
        taps = Taps(network, images)
        total = loss.total(taps.network_outputs, labels)
        # A frozen network's first layer may make values that no gradient reaches.
        wanted = {("output", name): value for name, value in taps.outputs.items()}
        wanted |= {("input", n): v for n, v in taps.inputs.items() if v.requires_grad}
        # Zeros where the loss is not of this output.
        found = torch.autograd.grad(total, list(wanted.values()), materialize_grads=True)
        gradients = dict(zip(wanted, found, strict=True))
    sources = sources_of(network)
    with torch.no_grad():
        for bits in bit_choices:
            for layer in network.weight_layers:
                error = weight_noise(network, layer.name, bits)
                moved = layer_value(layer, taps.inputs[sources[layer.name]], error, None)
                along = _products(moved, gradients["output", layer.name])
                squares[layer.name, "weight", bits] += number(along.square().sum())
            for tensor, readings in tensors_read(network).items():
                along = torch.zeros(len(images), device=total.device)
                for node in dict.fromkeys(reading.node for reading in readings):
                    error = activation_noise(network, tensor, taps.inputs[node], bits)
                    along += _products(error, gradients["input", node])
                for one in readings:
                    squares[one.layer, one.kind, bits] += number(along.square().sum())
    return number(total)


def _products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return each image's inner product, float32 `[N]`."""
    return (a * b).flatten(1).sum(1)
