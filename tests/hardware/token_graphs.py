"""Converted networks of tokens, for this machine and for boards."""

from functools import lru_cache

import numpy as np
import torch

from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.network import QuantizedNetwork
from quant.testing import prepare_calibrated, random_allocation, random_images
from tests.quant.token_networks import IMAGE, TOKEN_NETWORKS


def converted_tokens(name: str, allocation_seed: int) -> DeployGraph:
    """Return one of `TOKEN_NETWORKS` at random bits."""
    network = _calibrated(name)
    network.set_allocation(
        random_allocation(network.layers, np.random.default_rng(allocation_seed))
    )
    return convert(network, name)


@lru_cache
def _calibrated(name: str) -> QuantizedNetwork:
    torch.manual_seed(0)
    return prepare_calibrated(TOKEN_NETWORKS[name][0]().eval(), random_images(24, IMAGE))
