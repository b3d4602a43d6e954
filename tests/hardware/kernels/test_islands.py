"""Networks with float islands, compiled: exact outside the islands, within 1e-5 inside."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hardware.errors import BuildError
from hardware.graph.agreement import describe_program_difference, fixed_input
from hardware.graph.island_times import island_times
from hardware.graph.program_steps import Step
from hardware.host.worker_client import WorkerClient
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.islands import with_islands
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployOp, Dequantize, FloatCall, QuantizeInput, RunIsland
from quant.integer import run_graph
from quant.testing import prepare_calibrated, random_images
from quant.torch_integer import integer_outputs
from tests.hardware.island_graphs import converted
from tests.quant.special_networks import SPECIAL_NETWORKS

QUICK = ("sequence", "transposed", "padding")
"""Run every time; the others are slow to compile."""


@pytest.fixture
def config(kernel_folder: Path) -> TargetConfig:
    return TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0)


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        pytest.param(name, batch, marks=[] if name in QUICK and batch == 1 else pytest.mark.slow)
        for name in SPECIAL_NETWORKS
        for batch in (1, 3)
    ],
)
def test_random_allocations_agree(name: str, batch: int, config: TargetConfig) -> None:
    workbench = Workbench(config, batch)
    for seed in range(1 if name in QUICK else 2):
        graph = converted(name, seed)
        workbench.build(graph)  # checks the agreement, and raises where there is none
        images = random_images(batch + 1, graph.tensors[graph.input].shape, seed=7).numpy()
        found = workbench.run(graph, images)
        expected = run_graph(graph, images)
        if any(isinstance(op, RunIsland) for op in graph.ops):
            # A code next to a tie may round the other way, so the outputs are only near.
            assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()
        else:
            assert np.array_equal(found, expected)


def test_islands_are_compiled_once_for_all_candidates(config: TargetConfig) -> None:
    target = KernelTarget.of(config)
    first, second = (
        [op for op in with_islands(converted("transposed", seed), 1, target).ops] for seed in (0, 1)
    )
    calls = [[op for op in ops if isinstance(op, FloatCall)] for ops in (first, second)]
    assert calls[0]
    for one, other in zip(*calls, strict=True):
        assert one.code is other.code


def test_a_wrong_island_and_a_wrong_code_are_both_found(config: TargetConfig) -> None:
    graph = converted("transposed", 0)
    x = fixed_input(graph, 1)
    values: dict[str, np.ndarray] = {}
    output = run_graph(graph, x, keep=values)
    (island,) = (op for op in graph.ops if isinstance(op, RunIsland))
    made = {island.output: values[island.output]}
    found = {graph.output: output}
    assert describe_program_difference(graph, x, found, made) == ""
    wrong = made[island.output].copy()
    wrong.flat[3] += 1e-4 * np.abs(wrong).max()
    assert "float island" in describe_program_difference(graph, x, found, {island.output: wrong})
    assert "outputs differ" in describe_program_difference(
        graph, x, {graph.output: output + 1}, made
    )


def test_what_tvm_cannot_import_is_the_candidates_failure(config: TargetConfig) -> None:
    graph = converted("transposed", 0)

    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = torch.special.bessel_j0(x)
            return y

    ops = [replace(op, module=Odd()) if isinstance(op, RunIsland) else op for op in graph.ops]
    with pytest.raises(BuildError, match="cannot compile the float island conv_transpose2d"):
        Workbench(config, 1).build(replace(graph, ops=tuple(ops)))


def test_samples_of_a_grid_are_pytorchs(config: TargetConfig) -> None:
    grid = torch.rand(1, 6, 7, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1.5

    class Sampled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x, places = self.layer(x), grid.expand(x.shape[0], -1, -1, -1)
            samples = [
                functional.grid_sample(x, places, mode, padding, align_corners=corners)
                for mode, padding, corners in (
                    ("bilinear", "zeros", False),
                    ("bilinear", "border", True),
                    ("nearest", "reflection", False),
                )
            ]
            return torch.cat(samples, 1)

    images = random_images(16, (3, 8, 8))
    network = prepare_calibrated(Sampled().eval(), images)
    network.set_allocation(Allocation.uniform(network.layers, 8))
    graph = convert(network)
    found = Workbench(config, 1).run(graph, images[:2].numpy())
    (expected,) = integer_outputs(graph, images[:2])
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-5)


def test_islands_are_timed_inside_the_program(config: TargetConfig) -> None:
    workbench = Workbench(config, 1)
    graph = converted("transposed", 0)
    protocol = ProtocolConfig(warmups=0, repeats=5, min_repeat_ms=0.1)
    (_, parts_us), _ = workbench.time_layers(graph, protocol, math.inf, 0.0)
    layers = {op.layer for op in graph.layer_ops()}
    assert set(parts_us) == layers | {"island conv_transpose2d"}
    assert parts_us["island conv_transpose2d"] > 0


@pytest.mark.slow  # starts a process that loads torch and TVM
def test_an_islands_parameters_reach_the_measuring_process(config: TargetConfig) -> None:
    graph = converted("transposed")
    worker = WorkerClient(config, 1)
    try:
        found = worker.call("identity", graph, limit_s=120.0)
    finally:
        worker.close()
    assert found == Workbench(config, 1).identity(graph)


def test_boundaries_count_with_their_island() -> None:
    call = FloatCall(island="a", inputs=("x/f",), output="y/f", code="", constants=(), order=())
    ops: list[DeployOp] = [
        Dequantize(input="x", output="x/f", multiplier=1.0, zero_point=0),
        call,
        replace(call, inputs=("y/f",), output="z/f"),
        QuantizeInput(input="z/f", output="z", multiplier=1.0, zero_point=0),
        QuantizeInput(input="image", output="codes", multiplier=1.0, zero_point=0),
    ]
    times = island_times([Step(op=op) for op in ops], [1.0, 2.0, 4.0, 8.0, 16.0])
    assert times == {"island a": 15.0}
