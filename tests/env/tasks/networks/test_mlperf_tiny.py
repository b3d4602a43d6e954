"""MLPerf Tiny's networks, MobileViT and the text encoder: their sizes, and what becomes of them."""

import numpy as np
import pytest
import torch

from env.tasks.networks.catalogue import NETWORKS
from env.tasks.networks.mlperf_tiny import FarPadded
from quant.capture.capture import capture
from quant.convert import convert
from quant.deploy_graph import Embedding, MatMul, Pad2d
from quant.integer import run_graph
from quant.testing import prepare_calibrated, random_allocation, random_images, shake_batch_norm
from quant.torch_integer import integer_logits

SIZES = {
    "mlperf-resnet8": ((3, 32, 32), 10, 78_666),
    "mlperf-ds-cnn": ((1, 49, 10), 12, 24_908),
    "mlperf-mobilenet": ((3, 96, 96), 2, 221_794),
    "mlperf-autoencoder": ((640,), 640, 269_992),
}
"""Shape of an input, outputs, and Keras's count of parameters, moving means and variances too."""


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_as_many_as_keras_counts(name: str) -> None:
    (channels, *_), classes, count = SIZES[name]
    module = NETWORKS[name](in_channels=channels, classes=classes)
    values = [value for key, value in module.state_dict().items() if "num_batches" not in key]
    assert sum(value.numel() for value in values) == count


def test_an_uneven_row_of_zeros_lies_at_the_far_side() -> None:
    layer = FarPadded(1, 1, 3, 2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[0, 0, 2, 2] = 1.0  # takes the last of each window
        made = layer(torch.arange(16.0).reshape(1, 1, 4, 4))
    assert made.tolist() == [[[[10.0, 0.0], [0.0, 0.0]]]]
    assert layer(torch.zeros(1, 1, 7, 5)).shape == (1, 1, 4, 3)


@pytest.mark.parametrize("name", SIZES)
def test_networks_are_integers_from_end_to_end(name: str) -> None:
    torch.manual_seed(0)
    shape, classes, _ = SIZES[name]
    module = NETWORKS[name](in_channels=shape[0], classes=classes).eval()
    shake_batch_norm(module)
    network = prepare_calibrated(module, images := random_images(4, shape))
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-3, atol=1e-4)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    graph = convert(network)
    assert not network.graph.islands
    uneven = any(isinstance(op, Pad2d) for op in graph.ops)
    assert uneven == (name in ("mlperf-resnet8", "mlperf-ds-cnn", "mlperf-mobilenet"))
    reference = run_graph(graph, images.numpy())
    assert np.array_equal(integer_logits(graph, images).numpy(), reference)


def test_a_text_encoder_begins_with_codes_of_its_table() -> None:
    torch.manual_seed(0)
    module = NETWORKS["text-encoder"](in_channels=9, classes=3).eval()
    texts = torch.randint(1024, (6, 9), generator=torch.Generator().manual_seed(0)).float()
    network = prepare_calibrated(module, texts)
    assert len(network.layers) == 4 * (6 + 2) + 2
    left = {name for island in network.graph.islands for name in island.operators}
    assert left == {"layer_norm", "softmax"}
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    graph = convert(network)
    assert isinstance(graph.ops[0], Embedding)
    assert sum(isinstance(op, MatMul) for op in graph.ops) == 8
    reference = run_graph(graph, texts.numpy())
    np.testing.assert_allclose(integer_logits(graph, texts).numpy(), reference, atol=1e-4)


def test_mobilevits_attention_is_between_pixels_of_patches() -> None:
    torch.manual_seed(0)
    module = NETWORKS["mobilevit-xxs"](in_channels=3, classes=10).eval()
    graph, _ = capture(module, random_images(1, (3, 64, 64)))
    products = [node.matrices for node in graph.nodes if node.matrices is not None]
    assert [one.groups for one in products] == [16] * 18  # four heads at four places
    left = {name for island in graph.islands for name in island.operators}
    assert left == {"layer_norm", "softmax"}
