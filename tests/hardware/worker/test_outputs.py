"""Endings and outputs of compiled networks: as the user's network returns them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hardware.graph.agreement import describe_program_difference, fixed_input
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.target import TargetConfig
from hardware.wire.returned import output_tensors
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.deploy_graph import DeployGraph, RunIsland
from quant.integer import run_graph
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_outputs
from tests.quant.output_networks import ENDINGS, IMAGE, EndingNet


def converted(ending: str) -> DeployGraph:
    torch.manual_seed(0)
    network = prepare_calibrated(EndingNet(ENDINGS[ending][0]), random_images(64, IMAGE))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(1)))
    return convert(network)


@pytest.fixture(scope="module")
def benches(kernel_folder: Path) -> list[Workbench]:
    config = TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0)
    return [Workbench(config, batch) for batch in (1, 3)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_output_is_that_of_the_integer_network(ending: str, benches: list[Workbench]) -> None:
    graph, images = converted(ending), random_images(7, IMAGE, seed=2)
    expected = integer_outputs(graph, images)
    rounded = any(isinstance(op, RunIsland) for op in graph.ops)
    for bench in benches:
        bench.build(graph)
        returned = bench.run(graph, images.numpy())
        found = returned if isinstance(returned, tuple) else (returned,)
        for output, wanted in zip(found, expected, strict=True):
            assert output.dtype == np.float32
            tolerance = 1e-5 * float(wanted.abs().max()) if rounded else 0.0
            np.testing.assert_allclose(output, wanted.numpy(), rtol=0, atol=tolerance)


def test_the_simulated_device_returns_the_same(benches: list[Workbench]) -> None:
    graph, images = converted("pyramid"), random_images(3, IMAGE, seed=2).numpy()
    device = SimulatedDevice(ProtocolConfig())
    for found, expected in zip(
        device.run(graph, images), benches[0].run(graph, images), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_wrong_output_beside_the_first_is_found() -> None:
    graph = converted("tuple")
    x = fixed_input(graph, 1)
    values: dict[str, Any] = {}
    first = run_graph(graph, x, keep=values)
    found = output_tensors(graph, first, values.__getitem__)
    assert describe_program_difference(graph, x, found, {}) == ""
    found[graph.returned[1].tensor] = found[graph.returned[1].tensor] + 1
    assert "3 of 3 outputs differ" in describe_program_difference(graph, x, found, {})
