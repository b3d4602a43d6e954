"""Estimated sensitivities against what they estimate, computed image by image."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from quant.allocation import Allocation
from quant.errors import BitAllocError
from quant.network import QuantizedNetwork
from quant.outputs import main_tensor
from quant.records.json_form import from_plain, to_plain
from quant.sensitivities import (
    SensitivityTable,
    fisher_sensitivity,
    gauss_newton_sensitivity,
    hessian_sensitivity,
)
from quant.sensitivities.batches import Batch, batches_of
from quant.sensitivities.fisher import fisher_traces
from quant.sensitivities.hessian import hessian_traces
from quant.sensitivities.noise import weight_noise
from quant.testing import TinyBranchNet, prepare_calibrated, random_images
from tests.quant.sensitivities.exact import loss_moved, small_batches, small_network

Estimate = Callable[..., SensitivityTable]
ESTIMATES: list[Estimate] = [gauss_newton_sensitivity, fisher_sensitivity, hessian_sensitivity]
LAYERS = ("stem", "inner", "skip", "head")
# What layers read of the network's own tensors: the two convolutions the stem, the head the pool.
SHARED = "inner"


def single(batches: tuple[Batch, ...]) -> list[Batch]:
    """Return batches of one image each."""
    return [
        (images[i : i + 1], labels[i : i + 1])
        for images, labels in batches
        for i in range(len(labels))
    ]


def read_node(network: QuantizedNetwork, layer: str) -> str:
    return next(node.inputs[0] for node in network.graph.nodes if node.layer == layer)


def read_values(network: QuantizedNetwork, layer: str, images: torch.Tensor) -> torch.Tensor:
    seen: dict[str, torch.Tensor] = {}
    network.float_outputs(images, read=lambda n, v: seen.setdefault(n, v))
    return seen[read_node(network, layer)].detach()


def gradient(
    network: QuantizedNetwork, batch: Batch, like: torch.Tensor, **what: str
) -> torch.Tensor:
    zero = torch.zeros_like(like, requires_grad=True)
    loss = loss_moved(network, batch, by=zero, **what)
    return torch.autograd.grad(loss, zero)[0]


def test_gauss_newton_is_the_mean_squared_derivative_along_the_error() -> None:
    network, batches = small_network(), small_batches(5, size=3)
    table = gauss_newton_sensitivity(network, batches, (2, 5))
    for bits in (2, 5):
        for layer in LAYERS:
            error = weight_noise(network, layer, bits)
            squares = [
                float((gradient(network, image, error, weight=layer) * error).sum()) ** 2
                for image in single(batches)
            ]
            expected = sum(squares) / (2 * len(squares))
            assert table.rises[layer, "weight", bits] == pytest.approx(expected, rel=1e-4)
        for layer in ("inner", "head"):
            node, tensor = read_node(network, layer), network.graph.layer(layer).tensor
            squares = []
            for image in single(batches):
                values = read_values(network, layer, image[0])
                error = network.tensor(tensor)(values, bits, learn=False).detach() - values
                slope = gradient(network, image, values, read=node)
                squares.append(float((slope * error).sum()) ** 2)
            expected = sum(squares) / (2 * len(squares))
            assert table.rises[layer, "activation", bits] == pytest.approx(expected, rel=1e-4)


def test_fisher_traces_are_mean_squared_gradient_norms() -> None:
    network, batches = small_network(), small_batches(5, size=3)
    traces = fisher_traces(network, batches)
    for layer in LAYERS:
        like = network.layer(layer).weight
        norms = [
            float(gradient(network, image, like, weight=layer).square().sum())
            for image in single(batches)
        ]
        assert traces.weights[layer] == pytest.approx(sum(norms) / len(norms), rel=1e-4)
    for layer in ("inner", "head"):
        norms = [
            float(
                gradient(
                    network,
                    image,
                    read_values(network, layer, image[0]),
                    read=read_node(network, layer),
                )
                .square()
                .sum()
            )
            for image in single(batches)
        ]
        found = traces.activations[network.graph.layer(layer).tensor]
        assert found == pytest.approx(sum(norms) / len(norms), rel=1e-4)


def exact_trace(network: QuantizedNetwork, batches: tuple[Batch, ...], layer: str) -> float:
    """Differentiate every weight twice, one after the other."""
    total = 0.0
    for batch in batches:
        zero = torch.zeros_like(network.layer(layer).weight, requires_grad=True)
        loss = loss_moved(network, batch, weight=layer, by=zero)
        (first,) = torch.autograd.grad(loss, zero, create_graph=True)
        for index in range(zero.numel()):
            (second,) = torch.autograd.grad(first.flatten()[index], zero, retain_graph=True)
            total += float(second.flatten()[index])
    return total / sum(len(images) for images, _ in batches)


def exact_activation_trace(
    network: QuantizedNetwork, batches: tuple[Batch, ...], layer: str
) -> float:
    total = 0.0
    for image in single(batches):
        zero = torch.zeros_like(read_values(network, layer, image[0]), requires_grad=True)
        loss = loss_moved(network, image, read=read_node(network, layer), by=zero)
        (first,) = torch.autograd.grad(loss, zero, create_graph=True)
        for index in range(zero.numel()):
            (second,) = torch.autograd.grad(first.flatten()[index], zero, retain_graph=True)
            total += float(second.flatten()[index])
    return total / len(single(batches))


def test_hessian_traces_are_within_five_per_cent_of_the_exact_ones() -> None:
    network, batches = small_network(), small_batches(size=12)
    traces = hessian_traces(network, batches, draws=300)
    for layer in LAYERS:
        exact = exact_trace(network, batches, layer)
        assert exact > 0
        assert traces.weights[layer] == pytest.approx(exact, rel=0.05)
        # The reported error is an honest one: four of them cover what is left.
        assert abs(traces.weights[layer] - exact) <= 4 * traces.standard_errors[layer]
        assert 0 < traces.standard_errors[layer] < 0.05 * exact
    for layer in ("inner", "head"):
        found = traces.activations[network.graph.layer(layer).tensor]
        exact = exact_activation_trace(network, batches, layer)
        assert found == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_estimates_fall_with_the_bits_and_agree_on_tied_layers(
    estimate: Estimate, network: QuantizedNetwork, digits: Any
) -> None:
    batches = batches_of(digits.train_images[:96], digits.train_labels[:96], 32)
    seen: list[tuple[int, int]] = []
    before = {name: value.clone() for name, value in network.state_dict().items()}
    table = estimate(
        network, iter(batches), (2, 4, 8), progress=lambda done, total: seen.append((done, total))
    )
    assert set(table.rises) == {
        (layer.name, part, bits)
        for layer in network.layers
        for part in ("weight", "activation")
        for bits in (2, 4, 8)
        if part == "weight" or not layer.reads_input
    }
    for layer in network.layers:
        rises = [table.rises[layer.name, "weight", bits] for bits in (2, 4, 8)]
        assert rises[0] > rises[1] > rises[2] >= 0
    down = [table.rises[name, "activation", 2] for name in ("down.conv1", "down.shortcut.0")]
    assert down[0] == down[1] > 0
    assert table.images == 96
    assert table.samples >= 96
    assert table.seconds > 0
    assert seen[-1][0] == seen[-1][1] == len(seen)
    assert network.allocation is None
    assert all(torch.equal(v, before[name]) for name, v in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert from_plain(SensitivityTable, to_plain(table)) == table


@pytest.mark.parametrize("estimate", [gauss_newton_sensitivity, fisher_sensitivity])
def test_estimates_do_not_depend_on_how_images_are_batched(estimate: Estimate) -> None:
    """Not so the Hessian's, whose random vectors are drawn batch by batch."""
    network = small_network()
    one, other = (estimate(network, small_batches(size=size), (3,)) for size in (3, 12))
    for part, rise in one.rises.items():
        assert other.rises[part] == pytest.approx(rise, rel=1e-3)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_estimates_take_every_kind_of_layer(estimate: Estimate) -> None:
    """Depthwise, grouped and dilated convolutions, concatenation and pooling, any allocation."""
    images = random_images(8, (3, 10, 12))
    network = prepare_calibrated(TinyBranchNet(), images)
    network.set_allocation(Allocation.uniform(network.layers, 3))
    table = estimate(network, [(images, torch.arange(8) % 5)], (2, 8))
    assert all(rise >= 0 for rise in table.rises.values())
    assert network.allocation == Allocation.uniform(network.layers, 3)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_no_images_are_refused(estimate: Estimate) -> None:
    with pytest.raises(BitAllocError, match="at least one image"):
        estimate(small_network(), [], (2, 8))


def test_gauss_newton_foresees_small_rises() -> None:
    """For labels drawn from the network itself, the quadratic model is the loss's own."""
    network = small_network()
    images = random_images(3000, seed=5)
    with torch.no_grad():
        start = main_tensor(network.float_outputs(images)).log_softmax(1)
        labels = torch.multinomial(
            start.exp(), 1, generator=torch.Generator().manual_seed(0)
        ).flatten()
    table = gauss_newton_sensitivity(network, batches_of(images, labels, 500), (5,))
    with torch.no_grad():
        for layer in LAYERS:
            twin = network.clone()
            twin.layer(layer).weight.add_(weight_noise(network, layer, 5))
            moved = main_tensor(twin.float_outputs(images)).log_softmax(1)
            # The expected rise over labels drawn from the network is a Kullback-Leibler distance.
            rise = float((start.exp() * (start - moved)).sum(1).mean())
            assert table.rises[layer, "weight", 5] == pytest.approx(rise, rel=0.1)
