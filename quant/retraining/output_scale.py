"""The scale of the logits, fitted after a training: one number, which moves no code.

Few bits make logits small: rounding errors blur them, and the steps of a short training are too
small to stretch them again. Where a layer gives the logits, its weights, their steps and its bias
times one factor are the same codes with another scale, so that no class changes its place.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2, with the loss of
the training in place of the negative log-likelihood of held-out labels.
"""

from collections.abc import Callable

import torch

from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork

_LARGEST = 4.0
"""Most that logits are stretched or shrunk by."""
_SEARCH_STEPS = 40
"""Each shortens the interval of the factor's logarithm to two thirds: more than float32 tells."""

LossOfLogits = Callable[[torch.Tensor], torch.Tensor]
"""The mean loss of logits `[N, classes]`."""


@torch.no_grad()
def fit_output_scale(network: QuantizedNetwork, images: torch.Tensor, loss: LossOfLogits) -> float:
    """Scale the logits so that their loss is least, in place, and return the factor.

    A network is left as it is (1) that has several outputs, or one that no layer gives, or a layer
    that is left in float and learns nothing.

    Args:
        network: With an allocation set.
        images: float32 `[N, ...]`.
        loss: Of their logits; has one least value along the factor, as cross-entropy and the
            divergence from a teacher have.
    """
    ends = [network.graph.by_name[output.node].layer for output in network.graph.returned]
    if len(ends) > 1 or not ends[0] or _learns_nothing(network, ends[0]):
        return 1.0
    (head,), logits = ends, network(images)
    factor = _least(lambda by: float(loss(logits * by)))
    module = network.layer(head)
    for value in (module.weight, module.bias, module.quantizer.steps):
        value.mul_(factor)
    return factor


def _learns_nothing(network: QuantizedNetwork, layer: str) -> bool:
    return bool(network.allocation) and network.bits(layer).weight_bits == FLOAT_BITS


def _least(value: Callable[[float], float]) -> float:
    """Return where a function of one valley is least between 1 / _LARGEST and _LARGEST."""
    low, high = 1 / _LARGEST, _LARGEST
    for _ in range(_SEARCH_STEPS):
        third = (high / low) ** (1 / 3)
        if value(low * third) <= value(high / third):
            high /= third
        else:
            low *= third
    return float((low * high) ** 0.5)
