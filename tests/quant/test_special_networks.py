"""What users' networks have beside plain layers: captured, retrained, converted, listed."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from quant.capture.capture import capture
from quant.convert import convert
from quant.integer import run_graph
from quant.network import prepare
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import (
    prepare_calibrated,
    random_allocation,
    random_images,
    retrain,
    shake_batch_norm,
)
from quant.torch_integer import integer_logits
from tests.quant.special_networks import SPECIAL_NETWORKS

Case = tuple[Any, tuple[str, ...]]
"""A network with islands, and the operators that stay in them."""
MOVES = {
    *("cat", "chunk", "contiguous", "expand", "flatten", "getitem", "mean", "permute", "reshape"),
    *("select", "slice", "split", "squeeze", "sub", "t", "transpose", "unbind", "unflatten"),
    *("unsqueeze", "view", "zeros"),
}


@pytest.fixture(params=list(SPECIAL_NETWORKS))
def case(request: pytest.FixtureRequest) -> Case:
    make, operators = SPECIAL_NETWORKS[request.param]
    torch.manual_seed(0)
    module = make().eval()
    shake_batch_norm(module)
    return module, operators


def test_the_captured_network_computes_what_the_module_does(case: Case) -> None:
    module, operators = case
    images = random_images(5, module.input_shape)
    untouched = copy.deepcopy(module)
    with torch.no_grad():
        expected, found = untouched(images), prepare(module, images)(images)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    graph, _ = capture(module, images)
    kept = [name for island in graph.islands for name in island.operators if name not in MOVES]
    assert sorted(kept) == sorted(operators)
    for island in graph.islands:
        assert "test_special_networks" in island.reason or "special_networks" in island.reason


def test_integers_agree_with_retraining_and_each_other(case: Case) -> None:
    module, _ = case
    images = random_images(24, module.input_shape)
    network = prepare_calibrated(module, images)
    rng = np.random.default_rng(1)
    for _ in range(2):
        network.set_allocation(random_allocation(network.layers, rng))
        labels = torch.arange(24) % 4
        retrain(network, images, labels, FinetuneConfig(steps=3, batch_size=8), seed=0)
        graph = convert(network)
        reference = run_graph(graph, images.numpy())
        assert np.array_equal(integer_logits(graph, images).numpy(), reference)
        with torch.no_grad():
            fake = network(images).numpy()
        # Codes may differ by one where QAT's float sums round another way (docs/integers.md).
        assert np.abs(fake - reference).max() < 0.05 * max(1.0, float(np.abs(reference).max()))
