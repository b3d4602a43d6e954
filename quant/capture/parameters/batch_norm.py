"""Folding batch norm, and other factors of channels, into the layer before it."""

import torch

from quant.capture.graph import LayerParameters


def fold_batch_norm(
    layer: LayerParameters,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    epsilon: float,
) -> LayerParameters:
    """Return the layer that computes `batch_norm(layer(x))` with running statistics.

    Args:
        layer: Weight `[out, ...]` and bias `[out]` before folding.
        gamma: Scale `[out]`, or None for 1.
        beta: Shift `[out]`, or None for 0.
        mean: Running mean `[out]`.
        variance: Running variance `[out]`.
        epsilon: Added to the variance.
    """
    scale = (variance.double() + epsilon).rsqrt()
    if gamma is not None:
        scale = scale * gamma.double()
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    bias = (layer.bias.double() - mean.double()) * scale
    if beta is not None:
        bias = bias + beta.double()
    return LayerParameters(
        weight=(layer.weight.double() * scale.reshape(shape)).float(), bias=bias.float()
    )


def scaled(layer: LayerParameters, factors: torch.Tensor) -> LayerParameters:
    """Return the layer that computes `factors * layer(x)`, with a factor `[out]` a channel."""
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    return LayerParameters(weight=layer.weight * factors.reshape(shape), bias=layer.bias * factors)
