"""A share of the fuzz: random networks captured, converted and computed twice, or refused."""

import numpy as np
import pytest
import torch

from quant.convert import convert
from quant.errors import CaptureError
from quant.integer import run_graph
from quant.network import prepare
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_logits
from tests.quant.random_networks import IMAGE, Case, random_cases

BY_THE_COMPILER = frozenset(
    (
        *("bessel_j0", "fft_rfft2", "sort", "topk", "kthvalue", "mode", "digamma", "lgamma"),
        *("inverse", "nonzero", "unique"),
    )
)
"""What is refused where TVM is asked (tests/hardware/test_fuzz.py), and not before."""


@pytest.mark.parametrize("case", list(random_cases(9, seed=1, operators=5)), ids=str)
def test_random_networks_agree_or_are_refused(case: Case) -> None:
    module, images = case.make(), random_images(16, IMAGE)
    if case.refused is not None:
        if case.refused not in BY_THE_COMPILER:
            with pytest.raises(CaptureError, match="random_networks"):
                prepare(module, images[:1])
        return
    with torch.no_grad():
        expected, found = module(images), prepare(module, images[:1])(images)
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
    network = prepare_calibrated(module, images)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(case.seed)))
    network(images).sum().backward()  # through all islands, as retraining does
    graph = convert(network)
    reference = run_graph(graph, images.numpy())
    tolerance = 1e-3 * np.abs(reference).max() if network.graph.islands else 0.0
    assert np.abs(integer_logits(graph, images).numpy() - reference).max() <= tolerance
