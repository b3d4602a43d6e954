"""Every estimate takes what users' networks have: float islands, sequences, shared modules."""

import pytest
import torch
from torch import nn

from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY
from quant.sensitivities import (
    fisher_sensitivity,
    gauss_newton_sensitivity,
    hessian_sensitivity,
    measured_sensitivity,
    orthogonality,
)
from quant.sensitivities.batches import batches_of
from quant.sensitivities.curvatures import Signs, blocks_of, curvatures, some_curvatures
from quant.testing import prepare_calibrated, random_images, shake_batch_norm
from tests.quant.special_networks import IMAGE, SPECIAL_NETWORKS

NAMES = ("dense", "squeeze-excitation", "in place", "sequence", "called twice", "parts of a tuple")


def special(name: str, count: int) -> tuple[QuantizedNetwork, torch.Tensor]:
    """Return a calibrated network of that kind, and so many images."""
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS[name][0]().eval()
    shake_batch_norm(module)
    images = random_images(count, module.input_shape)
    return prepare_calibrated(module, images), images


@pytest.mark.parametrize("name", NAMES)
def test_curvatures_come_to_the_same_in_parts(name: str) -> None:
    network, images = special(name, 5)
    batches, signs = batches_of(images, torch.arange(5) % 4, 2), Signs(draws=3, seed=1)
    count = len(blocks_of(network))
    whole = list(curvatures(network, batches, signs, loss=CROSS_ENTROPY))
    assert len(whole) == 3
    for number, (batch, expected) in enumerate(zip(batches, whole, strict=True)):
        for blocks in (range(1), range(1, count - 1), range(count - 1, count)):
            found = some_curvatures(
                network, batch, signs, blocks, number=number, size=2, loss=CROSS_ENTROPY
            )
            assert found.loss == expected.loss
            assert torch.equal(found.found, expected.found[:, blocks.start : blocks.stop])


def check_every_estimate(
    network: QuantizedNetwork, batches: list[tuple[torch.Tensor, torch.Tensor]]
) -> set[tuple[str, str, int]]:
    """Assert that each tells of every width to decide, and return those."""
    expected = {
        (layer.name, part, bits)
        for layer in network.layers
        for part in ("weight", "activation")
        for bits in (2, 8)
        if part == "weight" or not layer.reads_input
    }
    for estimate in (
        measured_sensitivity,
        gauss_newton_sensitivity,
        fisher_sensitivity,
        hessian_sensitivity,
    ):
        rises = estimate(network, batches, (2, 8)).rises
        assert set(rises) == expected
        assert all(torch.isfinite(torch.tensor(rise)) for rise in rises.values())
    return expected


@pytest.mark.parametrize("name", NAMES)
def test_every_estimate_takes_the_network(name: str) -> None:
    network, images = special(name, 6)
    batches = [(images, torch.arange(6) % 4)]
    check_every_estimate(network, batches)
    rises = gauss_newton_sensitivity(network, batches, (2,)).rises
    assert rises["stem", "weight", 2] > 0
    assert all(rise >= 0 for rise in rises.values()), "0 where a ReLU lets nothing through"
    found = orthogonality(network, batches)
    assert found.layers == tuple(layer.name for layer in network.layers)
    assert all(0 <= value <= 1 + 1e-9 for row in found.matrix for value in row)


@pytest.mark.parametrize("first", [nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.Sigmoid()])
def test_every_estimate_takes_what_is_made_of_the_input_before_the_first_layer(
    first: nn.Module,
) -> None:
    """No weight lies before the tensor that the first layer reads, and its bits are decided."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(4 * 6 * 6, 4))
    module = nn.Sequential(first, *layers).eval()
    shake_batch_norm(module)
    images = random_images(6, IMAGE)
    network, batches = prepare_calibrated(module, images), [(images, torch.arange(6) % 4)]
    assert not network.layers[0].reads_input
    found = check_every_estimate(network, batches)
    assert len(found) == 8, "two layers, two parts and two widths"
    rises = gauss_newton_sensitivity(network, batches, (2, 8)).rises
    assert 0 <= rises["1", "activation", 8] < rises["1", "activation", 2]
