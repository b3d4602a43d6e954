"""What calibration promises: steps that serve the data and stay usable whatever the data is."""

import pytest
import torch
from torch import nn

from quant.allocation import Allocation
from quant.calibration import sample_windows
from quant.convert import convert
from quant.errors import AllocationError
from quant.network import QuantizedNetwork, prepare
from quant.quantizer import STALE_AFTER_STEPS, ActivationQuantizer, WeightQuantizer, keep_positive
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import retrain
from quant.torch_integer import integer_logits


def small_network(first: nn.Conv2d | None = None) -> nn.Module:
    torch.manual_seed(0)
    first = first or nn.Conv2d(3, 8, 3, padding=1)
    middle = nn.Conv2d(8, 6, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 4))


def biased(value: float) -> nn.Conv2d:
    first = nn.Conv2d(3, 8, 3, padding=1)
    assert first.bias is not None
    nn.init.constant_(first.bias, value)
    return first


def images(count: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def calibrated(module: nn.Module) -> QuantizedNetwork:
    network = prepare(module.eval(), images(1))
    network.calibrate(images())
    return network


def uniform(network: QuantizedNetwork, bits: int) -> Allocation:
    return Allocation.uniform(network.layers, bits)


def test_the_sample_sees_every_pixel_and_not_only_a_border() -> None:
    # 4 * 64 * 8 * 8 = 16384 * n values a tensor: a stride would fall on the same columns only.
    network = prepare(small_network().eval(), images(1))
    values = torch.zeros(256, 8, 8, 8)
    values[:, :, 4, 3] = 1.0
    sample = network._sample("conv2d", {"conv2d": values})
    assert float(sample.mean()) == pytest.approx(1 / 64, rel=0.2)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(6, 8, (3, 5), stride=(2, 1), padding=(2, 3), dilation=(2, 1), groups=2),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Sequential(nn.Flatten(), nn.Linear(6 * 7 * 9, 8)),
    ],
    ids=["grouped", "depthwise", "linear"],
)
@torch.no_grad()
def test_windows_are_what_outputs_are_sums_of(module: nn.Module) -> None:
    network = prepare(module.eval(), torch.zeros(1, 6, 7, 9))
    (spec,) = network.layers
    x = torch.randn(4, 6, 7, 9, generator=torch.Generator().manual_seed(0))
    windows = sample_windows(spec, x.flatten(1) if spec.kind == "linear" else x)
    layer = network.layer(spec.name)
    weight = layer.weight.reshape(spec.groups, -1, spec.products)
    sums = torch.bmm(windows, weight.transpose(1, 2)).permute(0, 2, 1).flatten(0, 1)
    outputs = (module(x).transpose(0, 1).flatten(1) - layer.bias[:, None])[:, None]
    assert float((sums[:, :, None] - outputs).abs().amin(2).max()) < 1e-5
    assert len(sums[0].unique()) > 3


def test_a_dead_channel_still_converts_with_its_bias() -> None:
    first = biased(0.7)
    with torch.no_grad():
        first.weight[2] = 0.0
        first.weight[5] = 1e-12
    network = calibrated(small_network(first))
    network.set_allocation(uniform(network, 8))
    layer = convert(network).layer_ops()[0]
    assert not layer.weight[2].any()
    # The channel's constant survives: bias code times its scale is the float bias.
    unit = network.tensor(network.graph.input).step(8) * network.layer("0").quantizer.step(8)[2]
    assert layer.epilogue.bias[2] * unit.item() == pytest.approx(0.7, rel=1e-3)


def test_a_layer_of_zeros_still_converts_with_its_bias() -> None:
    first = biased(0.7)
    with torch.no_grad():
        first.weight.zero_()
    network = calibrated(small_network(first))
    for bits in (2, 8):
        network.set_allocation(uniform(network, bits))
        layer = convert(network).layer_ops()[0]
        unit = network.tensor(network.graph.input).step(8) * network.layer("0").quantizer.step(bits)
        assert layer.epilogue.bias * unit.detach().numpy() == pytest.approx(0.7, rel=1e-3)


def test_a_tensor_that_was_always_zero_still_converts() -> None:
    network = calibrated(small_network(biased(-1e3)))
    network.set_allocation(uniform(network, 4))
    with torch.no_grad():
        expected = network(images())
    assert torch.allclose(integer_logits(convert(network), images()), expected, atol=1e-5)


def test_one_allocation_does_not_move_the_input_scale_of_the_others() -> None:
    network = calibrated(small_network())
    network.set_allocation(uniform(network, 2))
    before = {name: module.steps.detach().clone() for name, module in network_tensors(network)}
    labels = torch.randint(0, 4, (64,), generator=torch.Generator().manual_seed(2))
    config = FinetuneConfig(steps=5, batch_size=32, step_learning_rate=0.1)
    retrain(network, images(), labels, config, seed=0)
    after = {name: module.steps.detach() for name, module in network_tensors(network)}
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(before) - {network.graph.input}


def network_tensors(network: QuantizedNetwork) -> list[tuple[str, ActivationQuantizer]]:
    names = dict.fromkeys(layer.tensor for layer in network.layers)
    return [(name, network.tensor(name)) for name in names]


def test_a_step_that_jumped_below_zero_comes_back() -> None:
    quantizer = WeightQuantizer(2)
    weight = torch.tensor([[1.0, -0.5], [0.25, 0.1]])
    for bits in range(2, 9):
        quantizer.initialise(weight, bits)
    start = quantizer.step(4).detach().clone()
    with torch.no_grad():
        quantizer.steps[2, 0] = -3.0
    keep_positive(quantizer)
    assert 0 < quantizer.step(4)[0].item() < start[0].item()
    assert quantizer.step(4)[1].item() == start[1].item()
    quantizer(weight, 4).square().sum().backward()
    assert quantizer.steps.grad is not None
    assert quantizer.steps.grad[2, 0] != 0


def test_a_loaded_network_runs_without_images_until_a_width_is_stale() -> None:
    source = calibrated(small_network())
    source.set_allocation(uniform(source, 3))
    loaded = prepare(small_network().eval(), images(1))
    loaded.load_state_dict(source.state_dict())
    loaded.set_allocation(uniform(loaded, 3))
    with torch.no_grad():
        assert torch.equal(loaded(images()), source(images()))
    loaded.trained_steps += STALE_AFTER_STEPS + 1
    with pytest.raises(AllocationError, match="no images are kept"):
        loaded.set_allocation(uniform(loaded, 4))
    loaded.keep_calibration_images(images())
    loaded.set_allocation(uniform(loaded, 4))


class PooledInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = nn.functional.max_pool2d(x, 2)
        total: torch.Tensor = self.conv(pooled + self.conv_free(pooled))
        return total

    @staticmethod
    def conv_free(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)


def test_an_input_read_wide_through_a_pool_is_pooled_in_float() -> None:
    network = prepare(PooledInput(), images(1))
    assert [island.operators for island in network.graph.islands] == [("max_pool2d",)]
