"""Taps: what layers read and compute in one float pass, kept where gradients can reach it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from quant.network import QuantizedNetwork
from quant.outputs import Outputs


class Taps:
    """One float pass of a batch, with the values of every layer's input and output.

    A layer reads its tensor through a branch of its own, so that a gradient with respect to it is
    that of what quantizing the tensor changes: a residual addition that reads the same values
    unquantized has no part in it. Layers that read the same values share the branch. A branch of
    what is made of the images alone, as by a norm of the input, begins a gradient of its own:
    nothing that is trained lies before it.
    """

    def __init__(self, network: QuantizedNetwork, images: torch.Tensor) -> None:
        """Run the network in float on images `[N, C, H, W]`, whatever its allocation is."""
        self.inputs: dict[str, torch.Tensor] = {}
        """By node that is read: float32 `[N, ...]`."""
        self.outputs: dict[str, torch.Tensor] = {}
        """By layer and product, before its activation: float32 `[N, ...]`."""
        self._tensors = network.graph.tensor_of
        self._input = self._tensors[network.graph.input]
        self.network_outputs: Outputs = network.float_outputs(
            images, read=self._read, computed=self._keep_output
        )

    def _read(self, node: str, value: torch.Tensor) -> torch.Tensor:
        if node not in self.inputs:
            branch = value.view_as(value)
            if self._begins_a_gradient(node, value):
                branch.requires_grad_()
            self.inputs[node] = branch
        return self.inputs[node]

    def _begins_a_gradient(self, node: str, value: torch.Tensor) -> bool:
        own = self._tensors[node] != self._input and value.is_floating_point()
        return own and torch.is_grad_enabled()

    def _keep_output(self, layer: str, value: torch.Tensor) -> torch.Tensor:
        self.outputs[layer] = value
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """That a layer reads a tensor, or a product one of its two."""

    layer: str
    """Or the product."""
    kind: str
    """Which of its two widths the tensor's is: `activation`, but `weight` for a product's right
    tensor."""
    node: str
    """Whose values are read."""


def sources_of(network: QuantizedNetwork) -> dict[str, str]:
    """Return `{layer: node whose values it reads}`."""
    return {node.layer: node.inputs[0] for node in network.graph.nodes if node.layer}


def tensors_read(network: QuantizedNetwork) -> Mapping[str, tuple[Reading, ...]]:
    """Return who reads each tensor, the network's input left out: its bits are fixed."""
    nodes = {node.layer or node.product: node for node in network.graph.nodes}
    found: dict[str, list[Reading]] = {}
    for layer in network.layers:
        kinds = ("activation", "weight")
        for tensor, kind, node in zip(layer.tensors, kinds, nodes[layer.name].inputs, strict=False):
            reading = Reading(layer=layer.name, kind=kind, node=node)
            found.setdefault(tensor, []).append(reading)
    found.pop(network.graph.tensor_of[network.graph.input], None)
    return {tensor: tuple(readings) for tensor, readings in found.items()}
