"""Steps: additions and requantizations are computed with the layer before them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware.graph.program_steps import steps_of
from hardware.graph.random_codes import layer_alone
from hardware.target import KernelFamily, TargetConfig
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.deploy_graph import Add, DeployGraph, Requantize
from quant.integer import run_graph
from quant.testing import TinyResidualNet, prepare_calibrated, random_allocation, random_images


@pytest.fixture(scope="module")
def graph() -> DeployGraph:
    network = prepare_calibrated(TinyResidualNet(), random_images(16))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(5)))
    return convert(network)


def test_every_operator_is_computed_once_and_after_what_it_reads(graph: DeployGraph) -> None:
    steps = steps_of(graph)
    computed = [op for step in steps for op in (step.op, *step.followers)]
    assert sorted(map(id, computed)) == sorted(map(id, graph.ops))
    written = {graph.input}
    for step in steps:
        assert written.issuperset(step.reads)
        written.update(step.writes)
    assert graph.output in written


def test_additions_follow_the_later_of_their_layers(graph: DeployGraph) -> None:
    additions = [op for op in graph.ops if isinstance(op, Add)]
    assert additions
    assert [step.add for step in steps_of(graph) if step.add] == additions
    assert not any(isinstance(step.op, Add) for step in steps_of(graph))


def test_a_sum_that_nothing_else_reads_is_not_stored(graph: DeployGraph) -> None:
    for step in steps_of(graph):
        readers = [
            op
            for op in graph.ops
            if step.wide in (getattr(op, "inputs", None) or (getattr(op, "input", None),))
        ]
        if step.requantize is not None:
            assert step.keeps_wide == (readers != [step.requantize])


@pytest.mark.parametrize("family", ["auto", "generic"])
@pytest.mark.parametrize("batch", [1, 2])
def test_parts_cut_out_agree_with_the_reference(
    graph: DeployGraph, family: KernelFamily, batch: int, tmp_path: Path
) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(tmp_path), family=family), batch)
    for step in steps_of(graph):
        if not hasattr(step.op, "layer"):
            continue
        part = layer_alone(graph, step.op.layer, (4, 4), seed=1)
        (alone,) = steps_of(part)
        assert (alone.add, alone.requantize, alone.keeps_wide) == (
            step.add,
            step.requantize,
            step.keeps_wide,
        )
        bench.build(part)  # compares with the reference
        # The wide codes are kept beside the narrow ones: look at them as well.
        if len(step.writes) == 2:
            ops = tuple(op for op in part.ops if not isinstance(op, Requantize))
            bench.build(replace(part, ops=ops, output=step.writes[0], kept=()))


@pytest.mark.parametrize("family", ["auto", "generic"])
def test_what_is_added_counts(graph: DeployGraph, family: KernelFamily, tmp_path: Path) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(tmp_path), family=family), 2)
    bench.build(graph)
    x = random_images(2, graph.tensors[graph.input].shape, 9).numpy()
    assert np.array_equal(bench.program.run(x), run_graph(graph, x))
