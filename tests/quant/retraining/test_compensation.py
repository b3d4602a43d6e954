"""Compensated rounding: errors of weights that cancel in what their layer computes."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.errors import TrainingError
from quant.layers import INPUT_BITS
from quant.network import QuantizedNetwork
from quant.outputs import main_tensor
from quant.quantizer import weight_limit
from quant.retraining.compensation import compensate, round_compensated
from quant.retraining.finetune_config import FinetuneConfig, images_seen
from quant.testing import (
    TinyBranchNet,
    TinyGatedNet,
    at_bits,
    prepare_calibrated,
    random_images,
    retrain,
)
from quant.torch_integer import integer_logits
from tests.quant.special_networks import SPECIAL_NETWORKS


def squared_error(network: QuantizedNetwork, images: torch.Tensor, expected: torch.Tensor) -> float:
    return float((integer_logits(convert(network), images) - expected).square().sum())


# The rounding of tensors, which stays as it is, would hide that of weights of six bits.
@pytest.mark.parametrize(
    ("bits", "activation_bits"), [(2, 2), (3, 3), (4, 4), (2, 8), (3, 8), (4, 8), (6, 8)]
)
def test_other_images_lose_less(
    network: QuantizedNetwork, digits: Any, bits: int, activation_bits: int
) -> None:
    chosen = {
        layer.name: LayerBits(
            weight_bits=bits, activation_bits=INPUT_BITS if layer.reads_input else activation_bits
        )
        for layer in network.layers
    }
    network.set_allocation(Allocation.of(chosen))
    expected = main_tensor(network.float_outputs(digits.test_images)).detach()
    nearest = squared_error(network, digits.test_images, expected)
    compensate(network, digits.train_images[:128])
    assert squared_error(network, digits.test_images, expected) < 0.8 * nearest


@pytest.mark.parametrize(
    ("make", "shape"), [(TinyBranchNet, (3, 10, 12)), (TinyGatedNet, (3, 7, 9))]
)
def test_every_kind_of_layer_is_fitted(make: type[nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = random_images(96, shape)
    network = at_bits(prepare_calibrated(make().eval(), images), 4)
    expected = main_tensor(network.float_outputs(images)).detach()
    nearest = squared_error(network, images, expected)
    compensate(network, images)
    assert squared_error(network, images, expected) < 0.9 * nearest
    for layer in network.layers:
        module, limit = network.layer(layer.name), weight_limit(4)
        step = module.quantizer.step(4).reshape(-1, *[1] * (module.weight.ndim - 1))
        codes = (module.weight / step).detach()
        torch.testing.assert_close(codes, codes.round(), atol=1e-4, rtol=0)
        assert codes.abs().max() <= limit + 1e-4


@pytest.mark.parametrize("name", list(SPECIAL_NETWORKS))
def test_special_networks_can_be_fitted(name: str) -> None:
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS[name][0]().eval()
    images = random_images(20, module.input_shape)
    network = at_bits(prepare_calibrated(module, images), 8)
    compensate(network, images)
    assert network(images).isfinite().all()


def test_inputs_that_share_nothing_are_rounded_to_the_nearest() -> None:
    weight, step = torch.randn(2, 5, 7), torch.rand(2, 5) + 0.1
    power = torch.diag_embed(torch.rand(2, 7) + 0.1)
    rounded = round_compensated(weight, step, 7, power)
    nearest = (weight / step[..., None]).round().clamp(-7, 7) * step[..., None]
    torch.testing.assert_close(rounded.float(), nearest)


def test_equal_inputs_make_up_for_each_other() -> None:
    """Ten weights of 0.3 on one input ask for three, and each by itself would be nothing."""
    weight, step = torch.full((1, 1, 10), 0.3), torch.ones(1, 1)
    rounded = round_compensated(weight, step, 1, torch.ones(1, 10, 10))
    assert float(rounded.sum()) == 3.0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), inputs=st.integers(1, 150), bits=st.integers(2, 8))
def test_sums_of_what_was_seen_lose_less(seed: int, inputs: int, bits: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(400, max(1, inputs // 3), generator=generator)
    mix = torch.randn(base.shape[1], inputs, generator=generator)
    x = base @ mix + 0.1 * torch.randn(400, inputs, generator=generator)
    weight = torch.randn(1, 16, inputs, generator=generator)
    limit = weight_limit(bits)
    step = weight.abs().amax(2) / limit
    rounded = round_compensated(weight, step, limit, (x.T @ x)[None] / 400)
    nearest = (weight / step[..., None]).round() * step[..., None]

    def error(w: torch.Tensor) -> float:
        return float(((w.double() - weight.double()) @ x.double().T).square().sum())

    assert error(rounded) <= 1.02 * error(nearest) + 1e-6
    codes = rounded / step[..., None]
    assert codes.abs().max() <= limit + 1e-4
    torch.testing.assert_close(codes, codes.round(), atol=1e-4, rtol=0)


def test_retraining_starts_from_compensated_weights(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 4)
    other = network.clone()
    config = FinetuneConfig(steps=0, compensation_images=64, scale_images=0, held_back_images=0)
    retrain(network, digits.train_images, digits.train_labels, config, seed=0)
    compensate(other, digits.train_images[:64])
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert images_seen(config, 1000) == 64
    assert images_seen(config, 50) == 50


def test_a_float_network_stays_as_it_is(network: QuantizedNetwork, digits: Any) -> None:
    before = network.clone()
    config = FinetuneConfig(steps=0, compensation_images=64, scale_images=0, held_back_images=0)
    retrain(network, digits.train_images, digits.train_labels, config, seed=0)
    for one, two in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, two)


def test_weights_that_are_no_numbers_are_refused(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 4)
    with torch.no_grad():
        network.layer(network.layers[1].name).weight.fill_(torch.nan)
    config = FinetuneConfig(steps=0, compensation_images=64, held_back_images=0)
    with pytest.raises(TrainingError, match="compensate"):
        retrain(network, digits.train_images, digits.train_labels, config, seed=0)
