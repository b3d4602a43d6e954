"""What users' networks have beside plain layers: captured, retrained, converted, listed."""

import copy
from typing import Any

import pytest
import torch

from quant.capture.capture import capture
from quant.network import prepare
from quant.testing import (
    prepare_calibrated,
    random_images,
    shake_batch_norm,
)
from tests.quant.agreement import check_agreement
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
    check_agreement(network, images, classes=4)
