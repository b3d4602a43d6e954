"""Layers left in float: the integer program computes what training saw, and counts four bytes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from env.decisions.costs import model_bytes
from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.deploy_graph import RunIsland
from quant.errors import AllocationError
from quant.integer import run_graph
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import (
    TinyBranchNet,
    TinyGatedNet,
    prepare_calibrated,
    random_images,
    retrain,
)


class Flattened(nn.Module):
    """A Linear that reads a flattened image: its columns go by places in the integer form."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        self.head = nn.Linear(3 * 4 * 5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 7]`."""
        logits: torch.Tensor = self.head(torch.relu(self.stem(x)).flatten(1))
        return logits


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "branches": (TinyBranchNet, (3, 10, 12)),
    "gates": (TinyGatedNet, (3, 7, 9)),
    "flattened": (Flattened, (2, 4, 5)),
}


def in_float(network: QuantizedNetwork, *names: str, bits: int = 5) -> Allocation:
    """Return a uniform allocation with some layers left in float."""
    uniform = dict(Allocation.uniform(network.layers, bits).items)
    kept = {
        name: LayerBits(weight_bits=FLOAT_BITS, activation_bits=uniform[name].activation_bits)
        for name in names
    }
    return Allocation.of(uniform | kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_integer_program_agrees_with_fake_quantization(name: str) -> None:
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    images = random_images(32, shape)
    network = prepare_calibrated(make().eval(), images)
    names = [layer.name for layer in network.layers]
    for kept in (*((one,) for one in names), names):
        allocation = in_float(network, *kept)
        network.set_allocation(allocation)
        graph = convert(network)
        with torch.no_grad():
            expected = network(images).numpy()
        np.testing.assert_allclose(run_graph(graph, images.numpy()), expected, atol=1e-5)
        assert graph.weight_bytes() == model_bytes(network.layers, allocation)
        islands = [op.layer for op in graph.ops if isinstance(op, RunIsland) and op.layer]
        assert islands == list(kept)


def test_retraining_leaves_its_weights_alone_and_trains_the_others() -> None:
    torch.manual_seed(0)
    images, labels = random_images(64, (2, 4, 5)), torch.arange(64) % 7
    network = prepare_calibrated(Flattened().eval(), images)
    network.set_allocation(in_float(network, "head"))
    before = network.layer("head").weight.detach().clone()
    others = network.layer("stem").weight.detach().clone()
    config = FinetuneConfig(steps=4, compensation_images=16, held_back_images=16)
    retrain(network, images, labels, config, seed=0)
    assert torch.equal(network.layer("head").weight, before)
    assert not torch.equal(network.layer("stem").weight, others)


def test_activations_are_never_in_float() -> None:
    with pytest.raises(AllocationError, match="activation_bits must be 2 to 8, found 32"):
        LayerBits(weight_bits=8, activation_bits=FLOAT_BITS)
