from typing import Any

import pytest
import torch

from quant.allocation import Allocation
from quant.errors import AllocationError
from quant.network import QuantizedNetwork, prepare
from quant.quantizer import STALE_AFTER_STEPS
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import TinyResidualNet, retrain


def train(network: QuantizedNetwork, digits: Any, steps: int = 3) -> None:
    config = FinetuneConfig(steps=steps, batch_size=32, compensation_images=0, held_back_images=0)
    retrain(network, digits.train_images, digits.train_labels, config, seed=0)


@torch.no_grad()
def logits(network: QuantizedNetwork, digits: Any) -> torch.Tensor:
    result: torch.Tensor = network(digits.test_images[:50])
    return result


def test_without_an_allocation_it_is_the_float_network(
    network: QuantizedNetwork, trained_net: TinyResidualNet, digits: Any
) -> None:
    with torch.no_grad():
        expected = trained_net(digits.test_images[:50])
    torch.testing.assert_close(logits(network, digits), expected, rtol=1e-5, atol=1e-4)


def test_eight_bits_are_close_to_float_and_two_bits_are_not(
    network: QuantizedNetwork, digits: Any
) -> None:
    real = logits(network, digits)
    errors = {}
    for bits in (2, 8):
        network.set_allocation(Allocation.uniform(network.layers, bits))
        errors[bits] = float((logits(network, digits) - real).square().mean().sqrt())
    assert errors[8] < 0.05 * float(real.std())
    assert errors[2] > 5 * errors[8]


def test_an_allocation_of_none_goes_back_to_float(network: QuantizedNetwork, digits: Any) -> None:
    before = logits(network, digits)
    network.set_allocation(Allocation.uniform(network.layers, 3))
    assert not torch.equal(logits(network, digits), before)
    network.set_allocation(None)
    assert torch.equal(logits(network, digits), before)


def test_bits_need_calibration(trained_net: TinyResidualNet, digits: Any) -> None:
    network = prepare(trained_net, digits.train_images[:1])
    with pytest.raises(AllocationError, match="calibrate"):
        network.set_allocation(Allocation.uniform(network.layers, 8))


def test_an_allocation_that_does_not_fit_changes_nothing(network: QuantizedNetwork) -> None:
    allocation = Allocation.uniform(network.layers, 4)
    network.set_allocation(allocation)
    with pytest.raises(AllocationError, match="leaves out"):
        network.set_allocation(Allocation.uniform(network.layers[:-1], 8))
    assert network.allocation == allocation
    assert network.bits("head").weight_bits == 4


def test_a_state_dict_brings_everything_back(
    network: QuantizedNetwork, trained_net: TinyResidualNet, digits: Any
) -> None:
    allocation = Allocation.uniform(network.layers, 3)
    network.set_allocation(allocation)
    train(network, digits)
    other = prepare(trained_net, digits.train_images[:1])
    other.load_state_dict(network.state_dict())
    other.eval()
    other.set_allocation(allocation)
    assert torch.equal(logits(other, digits), logits(network, digits))
    assert int(other.trained_steps) == 3
    for layer in network.layers:
        ours, theirs = network.layer(layer.name).quantizer, other.layer(layer.name).quantizer
        assert theirs.trained_at.tolist() == ours.trained_at.tolist()
        assert theirs.trained_at.tolist() == [0, 3, 0, 0, 0, 0, 0]


def test_a_clone_is_independent(network: QuantizedNetwork, digits: Any) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 4))
    before, twin = logits(network, digits), network.clone()
    assert torch.equal(logits(twin, digits), before)
    train(twin, digits)
    assert not torch.equal(logits(twin, digits), before)
    assert torch.equal(logits(network, digits), before)
    twin.set_allocation(Allocation.uniform(twin.layers, 2))
    assert network.bits("head").weight_bits == 4
    assert int(network.trained_steps) == 0


def test_only_long_untrained_widths_are_initialised_again(
    network: QuantizedNetwork, digits: Any
) -> None:
    four, three = (Allocation.uniform(network.layers, bits) for bits in (4, 3))
    network.set_allocation(four)
    train(network, digits)
    quantizer = network.layer("head").quantizer
    learned = {bits: quantizer.step(bits).detach().clone() for bits in (3, 4)}
    with torch.no_grad():
        network.layer("head").weight.mul_(2)
        network.trained_steps.fill_(STALE_AFTER_STEPS)  # 4 bits trained at 3, 3 bits at 0
    for allocation in (three, four):
        network.set_allocation(allocation)
    assert torch.equal(quantizer.step(3), learned[3])
    assert torch.equal(quantizer.step(4), learned[4])
    with torch.no_grad():
        network.trained_steps.fill_(STALE_AFTER_STEPS + 1)
    for allocation in (three, four):
        network.set_allocation(allocation)
    again = network.clone()
    again.calibrate(digits.train_images[:256])  # the images that the network has kept
    assert torch.equal(quantizer.step(3), again.layer("head").quantizer.step(3))
    assert bool((quantizer.step(3) > 1.5 * learned[3]).all())  # of twice as large weights
    assert torch.equal(quantizer.step(4), learned[4])


def test_values_of_the_forward_are_on_their_grids(network: QuantizedNetwork, digits: Any) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 3))
    with torch.no_grad():
        values = network.quantized_values(digits.test_images[:20])
    sums = [node.name for node in network.graph.nodes if node.kind == "add"]
    for name in sums:
        step = network.tensor(name).step(3).detach()
        assert len((values[f"{name}/narrow"] / step).round().unique()) <= 8
        codes = values[name] / network.stream_scale(name)
        assert float((codes - codes.round()).abs().max()) < 1e-2  # float32 of codes up to 2**15
    for layer in network.layers[1:]:
        if layer.tensor not in network.graph.wide:
            assert len(values[layer.tensor].unique()) <= 8, layer.tensor


def test_streams_leave_room_to_grow(network: QuantizedNetwork, digits: Any) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 8))
    with torch.no_grad():
        values = network.quantized_values(digits.train_images[:256])
    for stream in set(network.graph.stream_of.values()):
        members = [name for name, owner in network.graph.stream_of.items() if owner == stream]
        largest = max(float(values[name].abs().max()) for name in members)
        used = largest / network.stream_scale(members[0]) / 32767
        assert 0.45 < used < 0.55  # calibration leaves a factor of two
