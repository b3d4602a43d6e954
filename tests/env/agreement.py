"""One arithmetic: torch on codes, the numpy reference and the compiled kernels, to the bit."""

import numpy as np
import torch

from hardware.device import Device
from quant.convert import convert
from quant.integer import run_graph
from quant.network import QuantizedNetwork
from quant.testing import random_allocation
from quant.torch_integer import integer_logits


def check_random_allocations(
    network: QuantizedNetwork, images: torch.Tensor, device: Device, count: int
) -> None:
    """Assert that all three compute the same logits at each of `count` random allocations."""
    rng = np.random.default_rng(2)
    for _ in range(count):
        network.set_allocation(random_allocation(network.layers, rng))
        graph = convert(network)
        expected = run_graph(graph, images.numpy())
        assert np.ptp(expected) > 0
        assert np.array_equal(integer_logits(graph, images).numpy(), expected)
        assert np.array_equal(device.run(graph, images.numpy()), expected)
