"""A scale and an offset for each logit, fitted to what the loss asks for: no code moves.

Few bits make logits too small or too sure, and some classes likelier than others: rounding errors
that all images have in common end in them. A layer's channel times a factor is the same codes with
another step, and its bias is an integer of its own, so that repairing both costs the device
nothing. At 2 bits this mends more than a short training does.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2 (vector scaling),
with the loss of the training in place of the negative log-likelihood of held-out labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from quant.capture.graph import NetworkGraph
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.tensors.moving import fetch, like

_LARGEST = 4.0
"""Most that a logit is stretched or shrunk by."""
_DEVIATION = 0.5
"""Of the factors' logarithms from one for all, and of the offsets, as believed before any image is
seen: with few images for a class both stay near 0. At 3 bits of a depthwise network 256 images do
no harm with it and some without; from 1,024 on it makes no difference."""
_ITERATIONS = 60

LossOfLogits = Callable[[torch.Tensor], torch.Tensor]
"""The mean loss of logits `[N, classes]`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LogitFit:
    """What each logit is multiplied by, and what is then added; found on the CPU."""

    scales: torch.Tensor
    """float32 `[classes]`, positive."""
    offsets: torch.Tensor
    """float32 `[classes]`."""

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` scaled and moved."""
        return logits * self.scales + self.offsets


def logit_layer(graph: NetworkGraph) -> str:
    """Return the layer whose sums are the logits; empty in a network that has no such layer.

    One of several outputs has none, nor one whose output is not one number for each class.
    """
    returned = graph.returned
    node = graph.by_name[returned[0].node]
    one_for_each = len(returned) == 1 and len(returned[0].shape) == 1
    return node.layer if one_for_each and node.clip is None else ""


def may_be_fitted(network: QuantizedNetwork, layer: str) -> bool:
    """Whether a layer's sums can be changed: it is there, has bits, and is not kept in float."""
    if not layer or network.allocation is None:
        return False
    return network.bits(layer).weight_bits != FLOAT_BITS


@torch.enable_grad()
def fit_logits(logits: torch.Tensor, loss: LossOfLogits) -> LogitFit:
    """Return the scales and offsets that make the loss least.

    Args:
        logits: float32 `[N, classes]`; where one is not finite, all are left as they are.
        loss: Of logits of the same images; convex, as cross-entropy and the divergence from a
            teacher are.
    """
    if not logits.isfinite().all():
        return LogitFit(scales=torch.ones(logits.shape[1]), offsets=torch.zeros(logits.shape[1]))
    common, scales, offsets = (
        torch.zeros(size, requires_grad=True) for size in (1, logits.shape[1], logits.shape[1])
    )
    descent = torch.optim.LBFGS(
        [common, scales, offsets], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def found() -> LogitFit:
        factors = (common + scales).exp().clamp(1 / _LARGEST, _LARGEST)
        return LogitFit(scales=factors, offsets=offsets)

    def value() -> torch.Tensor:
        descent.zero_grad()
        unlikely = (scales.square().sum() + offsets.square().sum()) / (2 * _DEVIATION**2)
        total = loss(found().of(logits.detach())) + unlikely / len(logits)
        total.backward()
        return total

    descent.step(value)
    fit = found()
    return LogitFit(scales=fit.scales.detach(), offsets=fit.offsets.detach())


@torch.no_grad()
def as_integers(network: QuantizedNetwork, layer: str, fit: LogitFit) -> LogitFit:
    """Return a fit as it comes out of the layer, whose bias is a whole number of codes."""
    bias, unit = fetch(network.layer(layer).bias), fetch(network.accumulator_unit(layer))
    codes = (fit.of(bias) / (fit.scales * unit)).round() - (bias / unit).round()
    return LogitFit(scales=fit.scales, offsets=codes * fit.scales * unit)


@torch.no_grad()
def apply_fit(network: QuantizedNetwork, layer: str, fit: LogitFit) -> None:
    """Scale and move the logits of a network, in place.

    Args:
        network: Whose layer is changed at every bit-width.
        layer: As `logit_layer` returns it.
        fit: For each of its output channels.
    """
    module = network.layer(layer)
    scales, offsets = like(fit.scales, module.weight), like(fit.offsets, module.weight)
    module.weight.mul_(scales.reshape(-1, *[1] * (module.weight.ndim - 1)))
    module.bias.mul_(scales).add_(offsets)
    module.quantizer.steps.mul_(scales)
