"""Equalization: the float network stays the same, and only some tensors are stretched."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from quant.convert import convert
from quant.equalization import equalizable, equalize, factors_for
from quant.errors import AllocationError
from quant.network import QuantizedNetwork, prepare
from quant.outputs import main_tensor
from quant.testing import (
    TinyBranchNet,
    TinyGatedNet,
    TinyResidualNet,
    at_bits,
    random_images,
    shake_batch_norm,
)
from quant.torch_integer import integer_logits

SHAPE = (3, 8, 8)


class Bottlenecks(nn.Module):
    """Inverted residuals: a stem, a linear bottleneck, a shortcut, uneven pads, ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.first = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.narrow = nn.Conv2d(12, 4, 1)
        self.widen = nn.Conv2d(4, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.project = nn.Conv2d(8, 4, 1)
        self.again, self.back = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1)
        self.last = nn.Conv2d(4, 10, 1, groups=2)
        self.classifier = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.first(functional.relu6(self.stem(x))))
        x = functional.relu6(self.widen(self.narrow(x)))
        x = functional.relu6(self.depthwise(functional.pad(x, (0, 1, 0, 1))))
        x = self.project(x)
        x = x + self.back(functional.relu(self.again(x)))
        x = functional.relu6(self.last(x)).mean((2, 3))
        logits: torch.Tensor = self.classifier(x)
        return logits


def bottlenecks() -> QuantizedNetwork:
    """Return a network whose channels reach by far not alike, some beyond a ReLU6's end."""
    torch.manual_seed(0)
    module = Bottlenecks().eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                scales = torch.logspace(-1.5, 1.5, part.out_channels)[
                    torch.randperm(part.out_channels)
                ]
                part.weight.mul_(scales.reshape(-1, 1, 1, 1))
    return prepare(module, random_images(1, SHAPE))


@torch.no_grad()
def outputs(network: QuantizedNetwork, images: torch.Tensor) -> torch.Tensor:
    return main_tensor(network.float_outputs(images))


def same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_the_float_network_stays_the_same() -> None:
    network, images = bottlenecks(), random_images(64, SHAPE)
    unseen = 3 * random_images(64, SHAPE, seed=1)  # beyond what calibration saw, and beyond 6
    before, state = outputs(network, unseen), network.copy_state()
    equalize(network, images)
    same(outputs(network, unseen), before)
    layers = {layer.name for layer in network.layers}
    changed = {
        layer
        for layer in layers
        if not torch.equal(network.layer(layer).weight, state[f"layer_modules.{layer}.weight"])
    }
    assert changed == layers - {"classifier"}
    stretched = {
        node.layer: network.clip_maxima(node.name) / 6
        for node in network.graph.nodes
        if node.clip is not None and node.clip.maximum is not None
    }
    assert {layer for layer, factors in stretched.items() if factors.max() > 1} == {
        *("stem", "widen")  # which depthwise convolutions read, the second behind a pad
    }
    assert all(factors.min() == 1 for factors in stretched.values())


def test_codes_of_an_equalized_network_are_finer_and_agree_with_the_integers() -> None:
    images, errors = random_images(64, SHAPE), []
    for equalized in (False, True):
        network = bottlenecks()
        if equalized:
            equalize(network, images)
        network.calibrate(images)
        at_bits(network.eval(), 8)
        with torch.no_grad():
            found, wanted = network(images), network.float_outputs(images)
        errors.append(float((found - wanted).square().mean().sqrt()))
        integers = integer_logits(convert(network), images)
        torch.testing.assert_close(integers, found, rtol=0.01, atol=0.5 * errors[-1])
    assert errors[1] < 0.9 * errors[0], errors


@pytest.mark.parametrize(
    ("make", "shape"),
    [(TinyResidualNet, (1, 8, 8)), (TinyBranchNet, (3, 10, 12)), (TinyGatedNet, (3, 7, 9))],
)
def test_residuals_concatenations_and_tables_compute_what_they_did(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module = make()
    shake_batch_norm(module)
    network, images = prepare(module.eval(), random_images(1, shape)), random_images(32, shape)
    before, state = outputs(network, images), network.copy_state()
    groups = list(equalizable(network.graph))
    equalize(network, images[:16])
    same(outputs(network, images), before)
    # The second sum of the residual net has no ReLU; a concatenation, a product and a mean of
    # several channels or places, and what is rectified for a plain layer, are left alone.
    assert [[node.kind for node in group.members] for group in groups] == (
        [["conv2d", "conv2d", "add"]] if make is TinyResidualNet else []
    )
    kept = all(torch.equal(value, state[name]) for name, value in network.copy_state().items())
    assert kept == (not groups)


def test_factors_are_roots_within_the_reach() -> None:
    reach = torch.tensor([9.0, 4.0, 1.0, 1e-9, 0.0])
    factors = factors_for(reach)
    torch.testing.assert_close(factors, torch.tensor([1, 1.5, 3, 4, 1]))
    assert (factors * reach).max() == reach.max()
    assert factors_for(torch.zeros(3)).tolist() == [1, 1, 1]


def test_states_carry_where_channels_end_and_older_ones_load() -> None:
    network, images = bottlenecks(), random_images(64, SHAPE)
    before = outputs(network, 3 * images)
    older = {name: value for name, value in network.copy_state().items() if "maxima" not in name}
    assert len(older) < len(network.copy_state())
    twin = bottlenecks()
    twin.load_state_dict(older)
    assert torch.equal(outputs(twin, 3 * images), before)
    equalize(network, images)
    twin.load_state_dict(network.state_dict())
    assert torch.equal(outputs(twin, 3 * images), outputs(network, 3 * images))


def test_a_calibrated_network_is_refused() -> None:
    network, images = bottlenecks(), random_images(8, SHAPE)
    network.calibrate(images)
    with pytest.raises(AllocationError, match="calibrated"):
        equalize(network, images)
