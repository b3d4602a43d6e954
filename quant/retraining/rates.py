"""Rates: how far a step of Adam moves each value, in proportion to the value's own scale.

Networks trained elsewhere have weights of any scale: folded batch norms, inputs of 0..255,
depthwise channels a hundred times larger than their neighbours. A rate that is right for one tensor
ruins another. Adam moves every value by about its rate at each step whatever the gradient's scale,
so a rate that is a share of the value's scale is a share of the value.
"""

import torch

from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.tensors.moving import number

_WEIGHT_SHARE = 0.008
"""Of the root mean square of an output channel's weights, in a step, at full reach. Over 60 steps
along a cosine a weight that always moves the same way moves by a quarter of it. At twice that, 2
bits of a depthwise network lose more than they gain; half of it gains less."""
_BIAS_SHARE = 0.00025
"""Of the standard deviation of a layer's outputs, at full reach. A tensor that is mostly one value,
as images with an empty background, has that value rounded the same way everywhere: a small move of
a bias can turn all of them to the next code, which no gradient foresees."""
_STEP_SHARE = 0.000125
"""Of a quantizer's step, at full reach; it decides the codes of a background as biases do."""
_ROUGH = 3
"""Power of the reach that biases and steps move by: where little is to be mended they must hold
still, while weights, each of which changes little, find it."""
_LEAST_CHANNEL = 0.1
"""Channels with smaller weights than this share of their tensor's move as if they had it."""

_FULL_REACH_AT = 0.27
"""Share of the loss that is the bits' doing at which values move furthest."""
_LEAST_REACH = 0.05
_UNKNOWN_REACH = 0.75
"""Without held-back images: right for 3 bits of a depthwise network."""

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
        found[layer] = number(by_channel.var(1, correction=0).mean().sqrt())
        return value

    with torch.no_grad():
        network.float_outputs(images, computed=note)
    return found


def reach_of(start_loss: float | None, float_loss: float | None) -> float:
    """Return how far values should move, 0 to 1: further, the more of the loss is the bits' doing.

    Where compensation has left little to mend, larger moves undo more than they mend; where outputs
    are mostly wrong, small ones mend nothing.

    Args:
        start_loss: Before the first step, on images that are not trained on; None: unknown.
        float_loss: Of the float network on the same.
    """
    if start_loss is None or float_loss is None:
        return _UNKNOWN_REACH
    damage = 1 - float_loss / start_loss if start_loss > 0 else 0.0
    return min(1.0, max(_LEAST_REACH, damage / _FULL_REACH_AT))


@torch.no_grad()
def rates_of(
    network: QuantizedNetwork,
    config: FinetuneConfig,
    deviations: dict[str, float],
    reach: float = 1.0,
) -> Rates:
    """Return the largest rate of each value that is trained, absolute where `config` names one.

    Args:
        network: As it is before the first step.
        config: Names absolute rates, or none.
        deviations: By layer, as `output_deviations` returns them.
        reach: As `reach_of` returns it.
    """
    rough = reach**_ROUGH
    rates: Rates = {}
    for name, value in network.named_parameters():
        if not value.requires_grad:
            continue
        if name.endswith("steps"):
            rate = config.absolute_step_rate
            rates[name] = (
                rough * _STEP_SHARE * value if rate is None else torch.full_like(value, rate)
            )
        elif config.learning_rate is not None:
            rates[name] = torch.full_like(value, config.learning_rate)
    if config.learning_rate is None:
        for spec in network.weight_layers:
            layer, prefix = network.layer(spec.name), network.parameter_prefix(spec.name)
            rates[f"{prefix}.weight"] = reach * _WEIGHT_SHARE * _channel_scale(layer.weight)
            bias_rate = rough * _BIAS_SHARE * deviations[spec.name]
            rates[f"{prefix}.bias"] = torch.full_like(layer.bias, bias_rate)
    return rates


def _channel_scale(weight: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of each output channel, shaped as `weight` `[out, ...]`."""
    squares = weight.flatten(1).square().mean(1)
    scale = squares.sqrt().clamp_min(_LEAST_CHANNEL * number(squares.mean().sqrt()))
    return scale.reshape(-1, *[1] * (weight.ndim - 1)).expand_as(weight)
