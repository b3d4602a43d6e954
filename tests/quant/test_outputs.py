"""Endings and outputs: captured, quantized and converted as the user's network returns them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from quant.allocation import Allocation
from quant.capture.capture import capture
from quant.convert import convert
from quant.errors import CaptureError
from quant.integer import run_graph
from quant.network import QuantizedNetwork
from quant.outputs import main_output, main_tensor, named_outputs
from quant.retraining.finetune_config import FinetuneConfig
from quant.sensitivities.fisher import fisher_sensitivity
from quant.sensitivities.gauss_newton import gauss_newton_sensitivity
from quant.sensitivities.hessian import hessian_sensitivity
from quant.testing import prepare_calibrated, random_images, retrain
from quant.torch_integer import integer_logits, integer_outputs
from tests.quant.output_networks import ENDINGS, IMAGE, EndingNet

READ_INSIDE = {"read inside", "called as an operator inside"}
IN_FLOAT = {"softmax", "sigmoid", "layer norm", "gelu"}


def network_of(ending: str) -> tuple[EndingNet, QuantizedNetwork]:
    torch.manual_seed(0)
    net = EndingNet(ENDINGS[ending][0]).eval()
    return net, prepare_calibrated(net, random_images(64, IMAGE))


def every(returned: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return returned if isinstance(returned, tuple) else (returned,)


@pytest.mark.parametrize("ending", ENDINGS)
@torch.no_grad()
def test_an_ending_returns_what_the_users_network_does(ending: str) -> None:
    net, network = network_of(ending)
    images = random_images(32, IMAGE, seed=1)
    expected = named_outputs(net(images))
    assert network.graph.outputs == tuple(expected) == ENDINGS[ending][1]
    network.set_allocation(None)
    for found, output in zip(every(network(images)), expected.values(), strict=True):
        torch.testing.assert_close(found, output, rtol=1e-5, atol=1e-5)
    assert torch.equal(
        main_tensor(network(images)), every(network(images))[main_output([*expected])]
    )
    islands = [name for island in network.graph.islands for name in island.operators]
    assert bool(islands) == (ending in IN_FLOAT or ending in READ_INSIDE), islands


@pytest.mark.parametrize("ending", ENDINGS)
@torch.no_grad()
def test_integers_give_each_output_to_the_bit(ending: str) -> None:
    net, network = network_of(ending)
    images = random_images(32, IMAGE, seed=1)
    network.set_allocation(Allocation.uniform(network.layers, 8))
    graph = convert(network)
    assert graph.outputs == network.graph.outputs
    values: dict[str, Any] = {}
    run_graph(graph, images.numpy(), keep=values)
    trained = every(network(images))
    floats = named_outputs(net(images)).values()
    for output, found, trains, real in zip(
        graph.returned, integer_outputs(graph, images), trained, floats, strict=True
    ):
        assert found.dtype == torch.float32
        assert graph.tensors[output.tensor].dtype == "float32"
        reference = values[output.tensor]
        if output.channels_last:
            reference = reference.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(found.numpy(), reference.reshape(found.shape))
        largest = float(real.abs().max())
        assert found.shape == trains.shape == real.shape
        assert float((found - trains).abs().max()) < 0.005 * largest  # a code here and there
        assert float((found - real).abs().max()) < 0.05 * largest
    place = main_output(graph.outputs)
    assert torch.equal(integer_logits(graph, images), integer_outputs(graph, images)[place])


def test_an_output_behind_an_activation_is_codes_times_their_step() -> None:
    _, network = network_of("relu")
    network.set_allocation(Allocation.uniform(network.layers, 8))
    images = random_images(32, IMAGE, seed=1)
    found = integer_logits(convert(network), images).numpy()
    (node,) = (node for node in network.graph.nodes if node.layer == "classify")
    codes = found / np.float32(network.stream_scale(node.name))
    np.testing.assert_allclose(codes, np.rint(codes), atol=0.01)
    assert codes.min() == 0 < 1000 < codes.max()  # not the 255 of narrow codes


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda n, x: n.features(x).mean(), r"'output'.*found float32 \[\]"),
        (lambda n, x: n.last(x).argmax(1), r"'output'.*found int64 \[N, 8, 10\]"),
        (lambda n, x: {"a": n.stem(x).transpose(0, 1)}, r"'a'.*float32 \[8, N, 8, 10\]"),
        (lambda n, x: n.stem(x).view(-1, 80), r"found float32 \[8\*N, 80\]"),
        (lambda n, x: (n.stem(x), n.norm.weight), r"'output.1'.*float32 \[3\]"),
        (lambda n, x: (n.stem(x), 3), "'output.1'.*found int"),
        (lambda n, x: None, "returns tensors, found none"),
        (lambda n, x: {"a": [n.stem(x)], "a.0": n.last(x)}, "two called 'a.0'"),
        (lambda n, x: n.stem(x).view(len(x), -1), "fixes the size of the batch"),
        (lambda n, x: (n.stem(x), torch.ones(len(x), 4)), "fixes the size of the batch"),
    ],
)
def test_what_is_no_batch_of_floats_is_refused(
    function: Callable[[EndingNet, torch.Tensor], Any], words: str
) -> None:
    net = EndingNet(function)
    net.last = nn.Conv2d(3, 6, 1)
    with pytest.raises(CaptureError, match=words):
        capture(net, random_images(1, IMAGE))


@torch.no_grad()
def test_a_sequence_is_returned_as_one() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv1d(5, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 4, 1))
    images = random_images(32, (5, 20))
    for net in (nn.Sequential(*layers), nn.Sequential(*layers, nn.ReLU(), nn.MaxPool1d(2))):
        network = prepare_calibrated(net, images)
        expected = net.eval()(images)
        assert network.graph.returned[0].shape == expected.shape[1:]
        network.set_allocation(None)
        torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5)
        network.set_allocation(Allocation.uniform(network.layers, 8))
        graph = convert(network)
        found = integer_logits(graph, images)
        assert float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())
        assert found.shape == network(images).shape


@dataclass
class Unknown:
    logits: torch.Tensor


def test_a_class_that_pytorch_does_not_know_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"EndingNet to return tensors.*found Unknown"):
        capture(EndingNet(lambda n, x: Unknown(n.logits(x))), random_images(1, IMAGE))
    with pytest.raises(CaptureError, match="returns tensors, found Unknown"):
        main_tensor(Unknown(torch.zeros(1)))


def test_the_main_output_is_called_logits_or_is_the_first() -> None:
    first, other = torch.zeros(1), torch.ones(1)
    assert main_tensor((first, other)) is first
    assert main_tensor({"boxes": other, "logits": first}) is first
    assert main_tensor([None, {"a": first}, other]) is first
    assert main_tensor(first) is first


@pytest.mark.parametrize("ending", ["dictionary", "twice", "pyramid"])
def test_layers_of_other_outputs_are_left_alone(ending: str) -> None:
    """Only the main output is trained and scored."""
    _, network = network_of(ending)
    images, labels = random_images(64, IMAGE), torch.arange(64) % 3
    before = network.copy_state()
    network.set_allocation(Allocation.uniform(network.layers, 4))
    retrain(
        network,
        images,
        labels,
        FinetuneConfig(steps=4, compensation_images=0, held_back_images=0),
        seed=0,
    )
    moved = {
        layer.name
        for layer in network.layers
        if not torch.equal(
            network.layer(layer.name).weight,
            before[f"{network.parameter_prefix(layer.name)}.weight"],
        )
    }
    assert moved == {"stem", "conv", "classify"}
    for sensitivity in (fisher_sensitivity, gauss_newton_sensitivity, hessian_sensitivity):
        table = sensitivity(network, [(images, labels)], [4])
        others = [table.rises.get((name, "weight", 4), 0.0) for name in ("locate", "last")]
        assert others == [0.0, 0.0]
        assert any(table.rises.values())
