"""Whether the device's compiler takes a network."""

import torch

from hardware.device import Device
from quant.allocation import Allocation
from quant.convert import convert
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork

_IMAGES = 8
"""Enough to give an untrained network scales; nobody looks at what it computes."""


def check_buildable(network: QuantizedNetwork, images: torch.Tensor, device: Device) -> None:
    """Refuse a network whose float islands cannot be compiled for a device.

    Args:
        network: Captured, trained or not; it stays as it is.
        images: Training images, for scales where it has none yet.
        device: What it will be compiled for.

    Raises:
        BuildError: an island has an operator that the compiler lacks.
    """
    if not network.graph.islands:
        return  # integer operators have kernels everywhere
    network = network.clone()
    if not network.calibrated:
        network.calibrate(images[:_IMAGES])
    network.set_allocation(Allocation.uniform(network.layers, MAX_BITS))
    device.identity(convert(network))
