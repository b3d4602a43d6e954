"""Networks of tokens in ONNX: ONNX Runtime gives what the integer network does."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from env.tasks.networks.text_encoder import TextEncoder
from experiments.export.onnx_model import onnx_model
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_outputs
from tests.hardware.token_graphs import converted_tokens
from tests.quant.token_networks import IMAGE, TOKEN_NETWORKS, TextLike


def _check(graph: DeployGraph, images: torch.Tensor) -> None:
    model = onnx_model(graph, opset=25)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    (entry,) = session.get_inputs()
    (found,) = session.run(None, {entry.name: images.numpy().reshape(-1, *entry.shape[1:])})
    (expected,) = integer_outputs(graph, images)
    assert found.shape == expected.shape
    tolerance = 1e-4 * float(expected.abs().max())
    near = np.isclose(found, expected.numpy(), rtol=0, atol=tolerance)
    assert near.reshape(len(near), -1).all(1).mean() >= 0.9
    largest = float(np.abs(found - expected.numpy()).max())
    assert largest <= 0.05 * float(expected.abs().max())  # a code beside a tie, and what follows


@pytest.mark.parametrize("name", TOKEN_NETWORKS)
def test_onnx_runtime_gives_the_integer_networks_logits(name: str) -> None:
    _check(converted_tokens(name, 1), random_images(32, IMAGE, seed=3))


def test_numbers_of_tokens_are_looked_up() -> None:
    torch.manual_seed(0)
    texts = torch.randint(1024, (32, 9), generator=torch.Generator().manual_seed(0)).float()
    module = TextEncoder(in_channels=9, classes=3, width=16, depth=1)
    network = prepare_calibrated(module.eval(), texts)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    _check(convert(network), texts)


def test_tokens_come_in_and_go_out_as_the_users_network_has_them() -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(TextLike(), images := random_images(32, (9, 12)))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    _check(convert(network), images)
