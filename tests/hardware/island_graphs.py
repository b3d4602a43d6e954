"""Converted networks with float islands, for this machine and for boards."""

import numpy as np
import torch

from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.testing import prepare_calibrated, random_allocation, random_images, shake_batch_norm
from tests.quant.special_networks import SPECIAL_NETWORKS


def converted(name: str, allocation_seed: int | None = None) -> DeployGraph:
    """Return one of `SPECIAL_NETWORKS` at random bits, or at 8 where there is no seed."""
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS[name][0]().eval()
    shake_batch_norm(module)
    network = prepare_calibrated(module, random_images(24, module.input_shape))
    allocation = Allocation.uniform(network.layers, 8)
    if allocation_seed is not None:
        rng = np.random.default_rng(allocation_seed)
        allocation = random_allocation(network.layers, rng)
    network.set_allocation(allocation)
    return convert(network, name)
