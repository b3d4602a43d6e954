"""A share of the fuzz: random networks captured, converted and computed twice, or refused."""

from typing import Any

import numpy as np
import pytest
import torch

from quant.convert import convert
from quant.errors import CaptureError
from quant.integer import run_graph
from quant.network import prepare
from quant.outputs import Outputs, named_outputs
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_outputs
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
        expected = named_outputs(module(images))
        captured = _every(prepare(module, images[:1])(images))
    for found, output in zip(captured, expected.values(), strict=True):
        assert float((found - output).abs().max()) <= 1e-4 * float(output.abs().max())
    network = prepare_calibrated(module, images)
    assert network.graph.outputs == tuple(expected)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(case.seed)))
    # Through all islands, as retraining does.
    torch.stack([output.sum() for output in _every(network(images))]).sum().backward()
    graph = convert(network)
    values: dict[str, Any] = {}
    run_graph(graph, images.numpy(), keep=values)
    for output, made in zip(graph.returned, integer_outputs(graph, images), strict=True):
        reference = values[output.tensor]
        if output.channels_last:
            reference = reference.transpose(0, 3, 1, 2)
        reference = reference.reshape(made.shape)
        tolerance = 1e-3 * np.abs(reference).max() if network.graph.islands else 0.0
        assert np.abs(made.numpy() - reference).max() <= tolerance


def _every(returned: Outputs) -> tuple[torch.Tensor, ...]:
    return returned if isinstance(returned, tuple) else (returned,)
