"""Networks of tokens: every Linear is an integer layer, wherever its tokens and its batch are."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from quant.allocation import Allocation
from quant.capture.capture import capture
from quant.convert import convert
from quant.deploy_graph import Constant, Conv2d, Move, RunIsland
from quant.equalization import equalize
from quant.integer import run_graph
from quant.layers import FLOAT_BITS
from quant.network import prepare
from quant.sensitivities.fisher import fisher_sensitivity
from quant.sensitivities.gauss_newton import gauss_newton_sensitivity
from quant.sensitivities.hessian import hessian_sensitivity
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_logits
from tests.quant.agreement import check_agreement
from tests.quant.test_special_networks import MOVES
from tests.quant.token_networks import (
    IMAGE,
    TOKEN_NETWORKS,
    MultiheadNet,
    Patches,
    TextLike,
    TinyViT,
)

_ATTENTION = ("scaled_dot_product_attention", "bmm")


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return TOKEN_NETWORKS[name][0]().eval()


@pytest.mark.parametrize("name", TOKEN_NETWORKS)
def test_every_linear_is_a_layer_and_attention_alone_stays_in_float(name: str) -> None:
    module, images = network_of(name), random_images(3, IMAGE)
    network = prepare(module, images)
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)
    graph, (_, layers, operators) = network.graph, TOKEN_NETWORKS[name]
    assert tuple(layer.name for layer in network.weight_layers) == layers
    products = [one for one in graph.layers if not one.has_weights]
    assert len(products) == 2 * operators.count("softmax")
    found = [one for island in graph.islands for one in island.operators if one not in MOVES]
    assert sorted(found) == sorted(operators)
    assert bool(graph.islands) == bool(operators)


@pytest.mark.parametrize("name", TOKEN_NETWORKS)
def test_random_allocations_are_equal_to_the_bit_and_to_retraining(name: str) -> None:
    module, images = network_of(name), random_images(24, IMAGE)
    network = prepare_calibrated(module, images)
    check_agreement(network, images, classes=10)


@pytest.mark.parametrize("name", ["vit", "gate", "convnext"])
def test_eight_bits_are_near_float(name: str) -> None:
    module, images = network_of(name), random_images(32, IMAGE)
    network = prepare_calibrated(module, images)
    network.set_allocation(Allocation.uniform(network.layers, 8))
    with torch.no_grad():
        floats = module(images).numpy()
    error = run_graph(convert(network), images.numpy()) - floats
    assert 10 * np.log10((floats**2).sum() / (error**2).sum()) > 25  # decibels


@pytest.mark.parametrize("name", ["vit", "multihead, batch second", "mixer", "convnext"])
def test_multiplications_of_layers_are_those_of_the_float_network(name: str) -> None:
    module = network_of(name)
    graph, _ = capture(module, random_images(1, IMAGE))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(random_images(1, IMAGE))
    flops = counter.get_flop_counts()["Global"]
    products = sum(n for operator, n in flops.items() if not str(operator).endswith(_ATTENTION))
    assert sum(layer.macs for layer in graph.layers if layer.has_weights) * 2 == products


def test_layers_of_tokens_are_described_as_what_they_are() -> None:
    graph, _ = capture(network_of("vit"), random_images(1, IMAGE))
    layer = graph.layer("blocks.0.mlp.0")
    assert (layer.kind, layer.kernel, layer.products) == ("linear", (1, 1), 32)
    assert (layer.input_shape, layer.output_shape) == ((32, 1, 17), (64, 1, 17))
    assert (layer.macs, layer.parameters) == (17 * 32 * 64, 32 * 64 + 64)
    assert not layer.reads_input


def test_a_class_token_and_positions_are_constants_of_codes() -> None:
    network = prepare_calibrated(network_of("vit"), random_images(8, IMAGE))
    network.set_allocation(Allocation.uniform(network.layers, 8))
    graph = convert(network)
    shapes = [op.codes.shape for op in graph.ops if isinstance(op, Constant)]
    assert shapes == [(1, 1, WIDTH := 32), (1, 17, WIDTH)]
    assert not [op for op in graph.ops if isinstance(op, Move) and "conv2d" in op.input]


def test_codes_move_where_tokens_are_turned_and_nowhere_else() -> None:
    def moves(name: str) -> int:
        network = prepare_calibrated(network_of(name), random_images(8, IMAGE))
        network.set_allocation(Allocation.uniform(network.layers, 8))
        return sum(isinstance(op, Move) for op in convert(network).ops)

    assert moves("convnext") == 0  # channels last is how codes lie anyway
    assert moves("mixer") == 2  # to tokens and back
    assert moves("vit") == 9  # three parts and the heads in both blocks, and the class token


@pytest.mark.parametrize("layer", ["blocks.0.attn.qkv", "blocks.1.mlp.2"])
def test_a_layer_of_tokens_may_be_left_in_float(layer: str) -> None:
    network = prepare_calibrated(network_of("vit"), images := random_images(16, IMAGE))
    allocation = dict(random_allocation(network.layers, np.random.default_rng(2)).items)
    bits = allocation[layer]
    allocation[layer] = type(bits)(weight_bits=FLOAT_BITS, activation_bits=bits.activation_bits)
    network.set_allocation(Allocation.of(allocation))
    graph = convert(network)
    assert layer in [op.layer for op in graph.ops if isinstance(op, RunIsland)]
    reference = run_graph(graph, images.numpy())
    np.testing.assert_allclose(integer_logits(graph, images).numpy(), reference, rtol=1e-4)


def test_sensitivities_and_equalization_take_tokens() -> None:
    network = prepare(network_of("vit"), images := random_images(16, IMAGE))
    expected = network(images)
    equalize(network, images)
    torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-4)
    network.calibrate(images)
    batches: Any = [(images, torch.arange(16) % 10)]
    for estimate in (fisher_sensitivity, gauss_newton_sensitivity, hessian_sensitivity):
        table = estimate(network, batches, (2, 8))
        rises = [table.rises["blocks.0.mlp.0", "weight", bits] for bits in (2, 8)]
        assert rises[0] > rises[1] >= 0


def test_the_fisher_trace_of_tokens_is_that_of_single_images() -> None:
    """By the definition: squared norms of each image's gradient, which sums over its tokens."""
    torch.manual_seed(0)
    network = prepare(network_of("mixer"), images := random_images(6, IMAGE))
    network.calibrate(images)
    labels = torch.arange(6) % 10
    table = fisher_sensitivity(network, [(images, labels)], (8,))
    weight, total = network.layer("along.0").weight, 0.0
    for image, label in zip(images, labels, strict=True):
        loss = nn.functional.cross_entropy(network(image[None]), label[None])
        (gradient,) = torch.autograd.grad(loss, weight)
        total += float(gradient.square().sum())
    noise = float(network.layer("along.0").quantizer.step(8).detach().square().mean()) / 12
    assert table.rises["along.0", "weight", 8] == pytest.approx(0.5 * total / 6 * noise, rel=1e-3)


def test_the_networks_input_may_be_tokens_and_so_may_its_output() -> None:
    torch.manual_seed(0)
    module, images = TextLike().eval(), random_images(16, (9, 12))
    network = prepare_calibrated(module, images)
    assert [layer.reads_input for layer in network.layers] == [True, False]
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    graph = convert(network)
    (output,) = graph.returned
    assert (output.rows, output.channels_last, output.shape) == (True, False, (9, 5))
    found = integer_logits(graph, images)
    reference = run_graph(graph, images.numpy())
    assert np.array_equal(found.numpy(), reference.reshape(16, 9, 5))
    with torch.no_grad():
        assert float((network(images) - found).abs().max()) < 0.05 * float(found.abs().max())


class _Cross(Patches):
    """Attention to tokens that differ from those that ask."""

    def __init__(self) -> None:
        super().__init__()
        self.att = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.tokens(x)
        made: torch.Tensor = self.head(self.att(t[:, :3], t, t)[0].mean(1))
        return made


def test_attention_to_other_tokens_has_its_matrices_as_layers() -> None:
    torch.manual_seed(0)
    module, images = _Cross().eval(), random_images(8, IMAGE)
    network = prepare_calibrated(module, images)
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)
    names = [layer.name for layer in network.weight_layers]
    assert names == ["patch", "att.in_proj", "att.in_proj#2", "att.out_proj", "head"]
    assert [layer.out_channels for layer in network.weight_layers] == [32, 32, 64, 32, 10]


class _Products(Patches):
    """Matrices of parameters that no module holds, `[in, out]`."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(32, 24)), nn.Parameter(torch.randn(24, 32))
        self.b = nn.Parameter(torch.randn(32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = torch.relu(self.tokens(x) @ self.w)
        rows = torch.addmm(self.b, t.reshape(-1, 24), self.v)
        made: torch.Tensor = self.head(rows.view(x.shape[0], 16, 32).mean(1))
        return made


def test_products_with_parameters_are_layers() -> None:
    torch.manual_seed(0)
    module, images = _Products().eval(), random_images(8, IMAGE)
    network = prepare_calibrated(module, images)
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-4)
    kinds = [(layer.in_channels, layer.out_channels) for layer in network.layers]
    assert kinds == [(3, 32), (32, 24), (24, 32), (32, 10)]
    assert not network.graph.islands


def test_a_module_that_is_no_transformer_keeps_its_layers_names() -> None:
    graph, _ = capture(TinyViT().eval(), random_images(1, IMAGE))
    assert "blocks.0.attn.qkv" in [layer.name for layer in graph.layers]
    convolutions = [
        op
        for op in _converted(MultiheadNet(batch_first=True)).ops
        if isinstance(op, Conv2d) and op.layer.startswith("att.")
    ]
    assert [op.weight.shape for op in convolutions] == [(96, 1, 1, 32), (32, 1, 1, 32)]


def _converted(module: nn.Module) -> Any:
    network = prepare_calibrated(module.eval(), random_images(8, IMAGE))
    network.set_allocation(Allocation.uniform(network.layers, 8))
    return convert(network)
