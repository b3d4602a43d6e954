"""Noise: what quantizing to b bits adds to weights and to the values that layers read."""

import torch

from quant.network import QuantizedNetwork


@torch.no_grad()
def weight_noise(network: QuantizedNetwork, layer: str, bits: int) -> torch.Tensor:
    """Return `Q_b(W) - W` of one layer, float32, shaped as its weight `[out, ...]`."""
    module = network.layer(layer)
    quantized: torch.Tensor = module.quantizer(module.weight, bits)
    return quantized - module.weight


@torch.no_grad()
def activation_noise(
    network: QuantizedNetwork, tensor: str, values: torch.Tensor, bits: int
) -> torch.Tensor:
    """Return `Q_b(a) - a` of values `[N, ...]` of one tensor."""
    quantized: torch.Tensor = network.tensor(tensor)(values, bits, learn=False)
    return quantized - values
