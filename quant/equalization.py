"""Equalization: channels that reach little are stretched, so that one step serves a tensor better.

A tensor has one step for all its channels, and the widest channel decides it. A channel times a
factor, and what reads it divided by the same, is the same network with finer codes there; the
device has nothing more to do.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.1, with the reach of a tensor's channels in place of the ranges of weights, as it is the
tensor that shares a step here: weights have one for each output channel.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass

import torch

from quant.capture.graph import NetworkGraph, Node, joined_by
from quant.errors import AllocationError
from quant.layers import LayerSpec
from quant.network import QuantizedNetwork

_KEEP_CHANNELS = frozenset({"add", "clip", "max_pool", "pad"})
"""Operators that a factor for each channel goes through unchanged."""
_LARGEST = 4.0
"""Most that a channel is stretched by: one that calibration saw little of may reach further
elsewhere."""
_IMAGES_TOGETHER = 8
"""Images that go through the network at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Equalizable:
    """Nodes that must share their channels' factors, and what reads them."""

    members: tuple[Node, ...]
    """Layers and operators that keep channels, in execution order."""
    readers: tuple[Node, ...]
    """Layers that read a member."""


def equalizable(graph: NetworkGraph) -> Iterator[Equalizable]:
    """Yield the groups of nodes whose channels can be stretched, and gain by it.

    Those are tensors that depthwise convolutions alone read, each of whose channels has steps of
    its own, and signed ones: inputs of linear bottlenecks and residual streams without an
    activation. A rectified tensor that sums over channels read is left alone: many of its channels
    are seldom on, calibration sees too little of them, and EfficientNet-Lite0 becomes worse.
    """
    for members in joined_by(graph.nodes, _KEEP_CHANNELS):
        names = {node.name for node in members}
        readers = tuple(
            reader for node in members for reader in graph.readers[node.name] if reader.layer
        )
        outside = [
            reader
            for node in members
            for reader in graph.readers[node.name]
            if not reader.layer and reader.name not in names
        ]
        made = all(node.layer or node.kind in _KEEP_CHANNELS for node in members)
        if not made or outside or not readers or names & graph.output_nodes:
            continue
        depthwise = all(graph.layer(reader.layer).is_depthwise for reader in readers)
        if depthwise or not any(node.clip for node in members):
            yield Equalizable(members=members, readers=readers)


@torch.no_grad()
def equalize(network: QuantizedNetwork, images: torch.Tensor) -> None:
    """Stretch channels in place; in float the network goes on computing the same, but for rounding.

    Where nothing can be stretched, nothing changes.

    Args:
        network: Prepared and not calibrated yet: steps belong to what is stretched.
        images: Training images, float32 `[N, C, H, W]`; their labels are not looked at.

    Raises:
        AllocationError: the network is calibrated.
    """
    if network.calibrated:
        raise AllocationError("expected a network without steps, found one that is calibrated")
    groups = tuple(equalizable(network.graph))
    if not groups:
        return
    reach = _reach(network, {node.name for group in groups for node in group.members}, images)
    for group in groups:
        factors = factors_for(torch.stack([reach[node.name] for node in group.members]).amax(0))
        _stretch(network, group, factors)


def factors_for(reach: torch.Tensor) -> torch.Tensor:
    """Return what each channel is multiplied by: the root of what it lacks to the widest.

    The root leaves half of the room for what was not seen, and half of the spread to the weights
    that read: all of it made EfficientNet-Lite0 worse.

    Args:
        reach: Largest magnitude of each channel, float32 `[C]`, not negative.

    Returns:
        float32 `[C]` from 1 to 4; times `reach` they are at most the largest reach. 1 where nothing
        was seen.
    """
    lacking = torch.where(reach > 0, reach.max() / reach, torch.ones_like(reach))
    return lacking.sqrt().clamp(1.0, _LARGEST)


def _reach(
    network: QuantizedNetwork, nodes: Container[str], images: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the largest magnitude of each channel of some nodes, float32 `[C]` each."""
    reach: dict[str, torch.Tensor] = {}
    for part in images.split(_IMAGES_TOGETHER):
        values: dict[str, torch.Tensor] = {}
        for node in network.graph.nodes:
            value = values[node.name] = network.float_value(node, values, part)
            if node.name not in nodes:
                continue
            found = value.abs().transpose(0, 1).flatten(1).amax(1)
            before = reach.get(node.name)
            reach[node.name] = found if before is None else torch.maximum(before, found)
    return reach


def _stretch(network: QuantizedNetwork, group: Equalizable, factors: torch.Tensor) -> None:
    """Multiply the channels of a group, and divide them where they are read."""
    for node in group.members:
        if node.layer:
            layer = network.layer(node.layer)
            layer.weight.mul_(_column(factors, layer.weight.ndim))
            layer.bias.mul_(factors)
        if node.clip is not None and node.clip.maximum is not None:
            network.clip_maxima(node.name).mul_(factors)
    for reader in group.readers:
        weight = network.layer(reader.layer).weight
        weight.div_(_read_by(network.graph.layer(reader.layer), factors, weight.ndim))


def _column(factors: torch.Tensor, ndim: int) -> torch.Tensor:
    """Return factors of output channels, shaped to broadcast over weights `[out, ...]`."""
    return factors.reshape(-1, *[1] * (ndim - 1))


def _read_by(spec: LayerSpec, factors: torch.Tensor, ndim: int) -> torch.Tensor:
    """Return factors of what a layer reads, shaped to broadcast over `[out, in / groups, ...]`."""
    by_group = factors.reshape(spec.groups, -1)
    by_output = by_group.repeat_interleave(spec.out_channels // spec.groups, 0)
    return by_output.reshape(*by_output.shape, *[1] * (ndim - 2))
