"""Rates: how far a step of Adam moves each value, in proportion to the value's own scale.

Networks trained elsewhere have weights of any scale: folded batch norms, inputs of 0..255,
depthwise channels a hundred times larger than their neighbours. A rate that is right for one tensor
ruins another. Adam moves every value by about its rate at each step whatever the gradient's scale,
so a rate that is a share of the value's scale is a share of the value.
"""

import torch

from quant.network import QuantizedNetwork
from quant.quantizer import WIDTHS
from quant.retraining.finetune_config import FinetuneConfig

_FEW = 2
"""At so few bits outputs are so wrong that values must move far, and rough moves cost little. With
more, compensation has left little to mend: small moves find it, and larger ones undo it."""
_WEIGHT_SHARES = (0.02, 0.01)
"""Of the root mean square of an output channel's weights, in a step: at few bits, and at more. Over
60 steps along a cosine a weight that always moves the same way moves by 0.6 or 0.3 of it: across a
code of 2 bits, and several of 8."""
_BIAS_SHARES = (0.004, 0.0005)
"""Of the standard deviation of a layer's outputs. A tensor that is mostly one value, as images with
an empty background, has that value rounded the same way everywhere: a small move of a bias can turn
all of them to the next code, which no gradient foresees."""
_WEIGHT_STEP_SHARES = (0.002, 0.0002)
"""Of the step of a channel's weights."""
_TENSOR_STEP_SHARES = (0.002, 0.0001)
"""Of the step of a tensor; it decides the codes of a background as biases do."""
_LEAST_CHANNEL = 0.1
"""Channels with smaller weights than this share of their tensor's move as if they had it."""

Rates = dict[str, torch.Tensor]
"""By the names of `named_parameters`, shaped as the parameters."""


def output_deviations(network: QuantizedNetwork, images: torch.Tensor) -> dict[str, float]:
    """Return each layer's standard deviation over images and places, the mean of its channels.

    Args:
        network: Run in float, whatever its allocation.
        images: float32 `[N, C, H, W]`.
    """
    found: dict[str, float] = {}

    def note(layer: str, value: torch.Tensor) -> torch.Tensor:
        by_channel = value.transpose(0, 1).flatten(1)
        found[layer] = float(by_channel.var(1, correction=0).mean().sqrt())
        return value

    with torch.no_grad():
        network.float_logits(images, computed=note)
    return found


@torch.no_grad()
def rates_of(
    network: QuantizedNetwork, config: FinetuneConfig, deviations: dict[str, float]
) -> Rates:
    """Return the largest rate of each value that is trained, absolute where `config` names one.

    Args:
        network: As it is before the first step.
        config: Names absolute rates, or none.
        deviations: By layer, as `output_deviations` returns them.
    """
    shares = _relative_rates(network, deviations)
    rates: Rates = {}
    for name, value in network.named_parameters():
        if not value.requires_grad:
            continue
        rate = config.absolute_step_rate if name.endswith("steps") else config.learning_rate
        rates[name] = shares[name] if rate is None else torch.full_like(value, rate)
    return rates


def _relative_rates(network: QuantizedNetwork, deviations: dict[str, float]) -> Rates:
    rates: Rates = {}
    for spec in network.layers:
        layer, prefix = network.layer(spec.name), network.parameter_prefix(spec.name)
        few_weights = few_either = False
        if network.allocation is not None:
            bits = network.bits(spec.name)
            few_weights = bits.weight_bits <= _FEW
            few_either = few_weights or bits.activation_bits <= _FEW
        bias_rate = _share(_BIAS_SHARES, few=few_either) * deviations[spec.name]
        rates[f"{prefix}.weight"] = _share(_WEIGHT_SHARES, few=few_weights) * _scale(layer.weight)
        rates[f"{prefix}.bias"] = torch.full_like(layer.bias, bias_rate)
    for name, value in network.named_parameters():
        if name.endswith("steps"):  # a row for each width
            shares = _WEIGHT_STEP_SHARES if value.ndim > 1 else _TENSOR_STEP_SHARES
            by_width = torch.tensor([_share(shares, few=width <= _FEW) for width in WIDTHS])
            rates[name] = value * by_width.reshape(-1, *[1] * (value.ndim - 1))
    return rates


def _share(shares: tuple[float, float], *, few: bool) -> float:
    return shares[0] if few else shares[1]


def _scale(weight: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of each output channel, shaped as `weight` `[out, ...]`."""
    squares = weight.flatten(1).square().mean(1)
    scale = squares.sqrt().clamp_min(_LEAST_CHANNEL * float(squares.mean().sqrt()))
    return scale.reshape(-1, *[1] * (weight.ndim - 1)).expand_as(weight)
