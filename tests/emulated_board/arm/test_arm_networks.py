"""Whole networks on the board, kernel by kernel: borders, additions and requantizations as well."""

from typing import Any

import numpy as np
import pytest

from hardware.graph.borders import border_code, stored_shape, with_borders
from hardware.graph.program_steps import steps_of
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.plan_step import plan_step
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.integer import run_graph
from quant.testing import (
    TinyBranchNet,
    TinyResidualNet,
    prepare_calibrated,
    random_allocation,
    random_images,
)
from tests.emulated_board.arm_bench import ArmBench

pytestmark = pytest.mark.board


def _run(bench: ArmBench, graph: DeployGraph, x: np.ndarray) -> np.ndarray:
    """Run a program's kernels one after another, on tensors with borders like a program's."""
    graph, batch = with_borders(graph), x.shape[0]
    context = PlanContext(graph=graph, batch=batch, target=bench.target)
    tensors: dict[str, Any] = {graph.input: x}
    for step in steps_of(graph):
        plan = plan_step(step, context)
        if plan is None:
            (name,) = step.writes
            tensors[name] = tensors[step.reads[0]].reshape(stored_shape(graph.tensors[name], batch))
            continue
        outputs = [
            np.full(stored_shape(tensor, batch), border_code(graph, name), tensor.dtype)
            for name, tensor in ((name, graph.tensors[name]) for name in step.writes)
        ]
        found = bench.execute(plan, [tensors[name] for name in step.reads], outputs)
        tensors.update(zip(step.writes, found, strict=True))
    return np.asarray(tensors[graph.output])


@pytest.mark.parametrize(
    ("module", "shape"), [(TinyResidualNet, (1, 8, 8)), (TinyBranchNet, (3, 8, 8))]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_of_random_bits_agrees_with_the_reference(
    module: Any, shape: tuple[int, ...], seed: int, bench: ArmBench
) -> None:
    network = prepare_calibrated(module(), random_images(16, shape))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(seed)))
    graph = convert(network)
    x = random_images(2, shape, seed).numpy()
    np.testing.assert_array_equal(_run(bench, graph, x), run_graph(graph, x))
