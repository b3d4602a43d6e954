"""Taps: what layers read and compute in one float pass, kept where gradients can reach it."""

from collections.abc import Mapping

import torch

from quant.layers import LayerSpec
from quant.network import QuantizedNetwork
from quant.outputs import Outputs


class Taps:
    """One float pass of a batch, with the values of every layer's input and output.

    A layer reads its tensor through a branch of its own, so that a gradient with respect to it is
    that of what quantizing the tensor changes: a residual addition that reads the same values
    unquantized has no part in it. Layers that read the same values share the branch.
    """

    def __init__(self, network: QuantizedNetwork, images: torch.Tensor) -> None:
        """Run the network in float on images `[N, C, H, W]`, whatever its allocation is."""
        self.inputs: dict[str, torch.Tensor] = {}
        """By node that is read: float32 `[N, ...]`."""
        self.outputs: dict[str, torch.Tensor] = {}
        """By layer, before its activation: float32 `[N, ...]`."""
        self.network_outputs: Outputs = network.float_outputs(
            images, read=self._read, computed=self._keep_output
        )

    def _read(self, node: str, value: torch.Tensor) -> torch.Tensor:
        if node not in self.inputs:
            self.inputs[node] = value.view_as(value)
        return self.inputs[node]

    def _keep_output(self, layer: str, value: torch.Tensor) -> torch.Tensor:
        self.outputs[layer] = value
        return value


def sources_of(network: QuantizedNetwork) -> dict[str, str]:
    """Return `{layer: node whose values it reads}`."""
    return {node.layer: node.inputs[0] for node in network.graph.nodes if node.layer}


def layers_reading(network: QuantizedNetwork) -> Mapping[str, tuple[LayerSpec, ...]]:
    """Return `{tensor: layers that read it}`, the network's input left out: its bits are fixed."""
    tensors = dict.fromkeys(layer.tensor for layer in network.layers if not layer.reads_input)
    return {
        tensor: tuple(layer for layer in network.layers if layer.tensor == tensor)
        for tensor in tensors
    }
