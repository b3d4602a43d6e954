"""Compensated rounding: weights whose rounding errors cancel in what their layer computes.

Rounding each weight to the nearest code makes the errors of weights small. What the next layer
sees is the error of sums, and inputs that have something in common let one weight make up for
another. Each layer in turn is fitted to what the float network computes there, reading what the
quantized layers before it really hand on, and its weights are rounded one input after another.

Source: Frantar et al. 2023, "GPTQ", sections 3.2 and 3.3, for the rounding; Nagel et al. 2019,
"Data-Free Quantization", section 4.2, for the means that biases correct.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

import torch

from quant.calibration import sample_windows
from quant.capture.float_operators import layer_value
from quant.capture.graph import Node
from quant.errors import TrainingError
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.quantizer import weight_limit
from quant.tensors.moving import doubles, fetch, like

_IMAGES_TOGETHER = 16
"""Images that go through the network at once."""
_SAMPLES_OF_AN_IMAGE = 256
"""Most outputs of each layer, drawn from one image, that its weights are fitted to."""
_PULL = 0.3
"""How strongly fitted weights are held where they were, as a share of their inputs' mean power.
Fitted to 120 crops, EfficientNet-Lite0's logits of others keep 28.9 dB at 0.01, 29.6 at 0.1 and
29.7 at 0.3: less follows the images it sees too closely."""
_DAMPING = 0.001
"""Share of the inputs' mean power added to each, so that inputs that never vary can be divided."""
_SMALLEST_POWER = 1e-12
"""Inputs that are always zero count as if they had this power."""
_COLUMNS_TOGETHER = 64
"""Inputs whose errors reach the later ones in one product."""

_LAST_MOVES = sorted(torch.linspace(-0.5, 0.5, 17).tolist(), key=abs)
"""Moves of a bias that are tried last, in steps of the tensor that it ends in, the smallest first.
With them 2 bits of a ResNet-20 trained elsewhere keep 67.7 % instead of 63.7 %; Fashion-MNIST's
networks keep what they had."""
_LAST_SAMPLES = 64
"""Most places of an image that decide the last move."""
_LAST_VALUES = 2**21
"""Most values of a tensor that decide the last move."""
_CLEARLY = 0.999
"""A larger move must be better by this factor."""

Values = dict[str, torch.Tensor]


@torch.no_grad()
def compensate(
    network: QuantizedNetwork,
    images: torch.Tensor,
    *,
    teacher: QuantizedNetwork | None = None,
    layers: Collection[str] | None = None,
) -> None:
    """Round the weights of layers at the current allocation, and correct their biases.

    Weights become multiples of their steps; steps and quantizers of tensors stay as they are.

    Args:
        network: Calibrated, with an allocation set.
        images: Training images, float32 `[N, C, H, W]`; their labels are not looked at.
        teacher: The float network that layers are fitted to, whose weights they start from; None
            for this network as it is.
        layers: Which; None for all of them.

    Raises:
        TrainingError: weights or values are not finite.
    """
    teacher = network if teacher is None else teacher
    parts = [_Part(part, {}, {}) for part in images.split(_IMAGES_TOGETHER)]
    last_reader = {name: node.name for node in network.graph.nodes for name in node.inputs}
    fitted = [node for node in network.graph.nodes if _is_fitted(network, node, layers)]
    for node in network.graph.nodes:
        if not fitted:
            return
        for part in parts:
            part.wanted[node.name] = teacher.float_value(node, part.wanted, part.images)
        if node is fitted[0]:
            _fit(network, teacher, node, parts)
            del fitted[0]
        for part in parts:
            part.found[node.name] = network.quantized_value(node, part.found, part.images)
        for name in set(node.inputs):
            if last_reader[name] == node.name:
                for part in parts:
                    part.forget(name)


def _is_fitted(network: QuantizedNetwork, node: Node, layers: Collection[str] | None) -> bool:
    named = bool(node.layer) and (layers is None or node.layer in layers)
    return named and network.bits(node.layer).weight_bits != FLOAT_BITS


def round_compensated(
    weight: torch.Tensor, step: torch.Tensor, limit: int, power: torch.Tensor
) -> torch.Tensor:
    """Round weights to multiples of their steps so that the errors of their sums are small.

    The inputs of most power are rounded first, as the later ones make up for the earlier.

    Args:
        weight: float `[groups, out, in]`.
        step: float `[groups, out]`, positive.
        limit: Largest code; the smallest is its negative.
        power: What `in` inputs have in common, `x^T x` over samples, float `[groups, in, in]`.

    Returns:
        float64, as `weight`.
    """
    damped = _with_diagonal(power.double(), _DAMPING)
    order = damped.diagonal(dim1=1, dim2=2).argsort(1, descending=True)
    damped = damped.gather(1, order[:, :, None].expand_as(damped))
    damped = damped.gather(2, order[:, None, :].expand_as(damped))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    spread = torch.linalg.cholesky(inverse, upper=True)
    columns = order[:, None, :].expand_as(weight)
    rest = weight.double().gather(2, columns)
    rounded = torch.empty_like(rest)
    for first in range(0, rest.shape[2], _COLUMNS_TOGETHER):
        block = slice(first, first + _COLUMNS_TOGETHER)
        errors = torch.zeros_like(rest[:, :, block])
        for column in range(first, min(block.stop, rest.shape[2])):
            value = rest[:, :, column]
            rounded[:, :, column] = (value / step).round().clamp(-limit, limit) * step
            error = (value - rounded[:, :, column]) / spread[:, column, column, None]
            errors[:, :, column - first] = error
            rest[:, :, column : block.stop] -= (
                error[:, :, None] * spread[:, None, column, column : block.stop]
            )
        rest[:, :, block.stop :] -= torch.bmm(errors, spread[:, block, block.stop :])
    return torch.empty_like(rounded).scatter_(2, columns, rounded)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some images, and what the float and the quantized network make of them so far."""

    images: torch.Tensor
    wanted: Values
    found: Values

    def forget(self, name: str) -> None:
        """Drop the values of a node that nothing reads any more."""
        del self.wanted[name], self.found[name]
        self.found.pop(f"{name}/narrow", None)


def _fit(
    network: QuantizedNetwork, teacher: QuantizedNetwork, node: Node, parts: list[_Part]
) -> None:
    """Fit one layer's weights and bias, given what it reads and what it should compute."""
    spec, module = network.graph.layer(node.layer), network.layer(node.layer)
    taught = teacher.layer(node.layer)
    bits = network.bits(node.layer).weight_bits
    power, missing = _moments(network, node, parts)
    if not fetch(power.isfinite().all()):
        raise TrainingError(
            f"cannot compensate rounding errors: what {node.layer} reads is not finite",
            "lower the learning rate of what trained the network",
        )
    weight = doubles(taught.weight).reshape(spec.groups, -1, power.shape[1])
    step = doubles(module.quantizer.step(bits)).reshape(spec.groups, -1)
    # Ridge regression around the weights: what some inputs lack, those that share it make up for.
    held = torch.linalg.cholesky(_with_diagonal(power, _PULL))
    fitted = weight + torch.cholesky_solve(torch.bmm(weight, missing).mT, held).mT
    rounded = round_compensated(fitted, step, weight_limit(bits), power)
    (reads,) = node.inputs
    wanted = _mean_by_channel(
        layer_value(spec, part.wanted[reads], taught.weight, taught.bias) for part in parts
    )
    module.weight.copy_(rounded.reshape(module.weight.shape))
    found = _mean_by_channel(_outputs(network, node, parts))
    module.bias.add_(wanted - found)
    if node.name not in network.graph.wide and node.name not in network.graph.output_nodes:
        module.bias.add_(_last_move(network, node, parts))


def _last_move(network: QuantizedNetwork, node: Node, parts: list[_Part]) -> torch.Tensor:
    """Return how far each bias should move for the errors behind activation and rounding, `[out]`.

    Equal means before the activation do not make them equal behind it: what is clipped counts no
    more, and values that many places share, as an empty background has them, are all rounded to the
    same side.
    """
    channels, images = node.shape[0], sum(len(part.images) for part in parts)
    samples = max(1, min(_LAST_SAMPLES, _LAST_VALUES // (channels * images)))
    wanted = torch.cat([_sampled(part.wanted[node.name], samples) for part in parts], 1)
    found = torch.cat([_sampled(x, samples) for x in _outputs(network, node, parts)], 1)
    step = network.tensor_step(network.graph.tensor_of[node.name])
    best = wanted.new_full((channels,), torch.inf)
    move = wanted.new_zeros(channels)
    for offset in _LAST_MOVES:
        error = network.quantized_as(node, found + offset * step) - wanted
        total = error.square().mean(1)
        better = total < _CLEARLY * best
        best = torch.where(better, total, best)
        move = torch.where(better, offset * step, move)
    return move


def _outputs(network: QuantizedNetwork, node: Node, parts: list[_Part]) -> Iterable[torch.Tensor]:
    """Yield what a layer makes of what it really reads, before the activation, part by part."""
    for part in parts:
        yield network.layer_output(node, network.layer_input(node, part.found))


def _sampled(values: torch.Tensor, samples: int) -> torch.Tensor:
    """Return values of up to `samples` places of each image, the same at each call, `[C, N]`."""
    places = values.flatten(2) if values.ndim > 2 else values[:, :, None]
    if places.shape[2] > samples:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randperm(places.shape[2], generator=generator)[:samples]
        places = places[:, :, like(drawn, places)]
    return places.transpose(0, 1).flatten(1)


def _moments(
    network: QuantizedNetwork, node: Node, parts: list[_Part]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how a layer's inputs vary together, and how what they lack varies with them.

    Returns:
        `x^T x` and `(wanted - x)^T x` over samples, without means, float64 `[groups, in, in]`.
    """
    spec, (reads,) = network.graph.layer(node.layer), node.inputs
    read, lacking = [], []
    for part in parts:
        samples = len(part.images) * min(_SAMPLES_OF_AN_IMAGE, prod(spec.output_shape[1:]))
        x = sample_windows(spec, network.layer_input(node, part.found), samples)
        read.append(x)
        lacking.append(sample_windows(spec, part.wanted[reads], samples) - x)
    count = sum(x.shape[1] for x in read)
    means = [torch.stack([x.sum(1) for x in xs]).sum(0) / count for xs in (read, lacking)]
    power, missing = (doubles(torch.zeros_like(read[0][0, 0, :1])) for _ in range(2))
    for x, lack in zip(read, lacking, strict=True):
        centred = x - means[0][:, None]
        power = power + doubles(torch.bmm(centred.mT, centred))
        missing = missing + doubles(torch.bmm((lack - means[1][:, None]).mT, centred))
    return power / count, missing / count


def _with_diagonal(power: torch.Tensor, share: float) -> torch.Tensor:
    """Return `power` `[groups, in, in]` with a share of its mean diagonal added to each input's."""
    mean = power.diagonal(dim1=1, dim2=2).mean(1).clamp_min(_SMALLEST_POWER)
    eye = torch.eye(power.shape[1], dtype=power.dtype, device=power.device)
    return power + (share * mean)[:, None, None] * eye


def _mean_by_channel(outputs: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return the mean of `[N, C, ...]` tensors together over all but their channels."""
    total, count = torch.zeros(()), 0
    for output in outputs:
        total = total + output.transpose(0, 1).flatten(1).sum(1)
        count += output[:, 0].numel()
    return total / count
