"""Assembled programs against the integer reference, in this process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm

from hardware.errors import BuildError
from hardware.graph.agreement import fixed_input
from hardware.graph.random_codes import layer_alone
from hardware.kernels.compiling.cache import compile_entry
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.plan_step import plan_step
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker import workbench
from hardware.worker.workbench import Workbench
from quant.integer import run_graph
from tests.hardware.graphs import GraphBuilder, digits_like, zoo


@pytest.fixture(scope="module")
def benches(kernel_folder: Path) -> dict[int, Workbench]:
    config = TargetConfig(kernel_cache=str(kernel_folder), dot_product=False)
    return {batch: Workbench(config, batch) for batch in (1, 3)}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_operator_agrees_to_the_bit(benches: Any, batch: int, seed: int) -> None:
    graph = zoo(seed)
    x = np.random.default_rng(seed).standard_normal((7, 3, 9, 9)).astype(np.float32) * 3
    output = benches[batch].run(graph, x)  # seven images: the last batch of three is incomplete
    assert output.dtype == np.float32
    assert np.array_equal(output, run_graph(graph, x))


def test_a_program_runs_again_on_other_images(benches: Any) -> None:
    bench, graph = benches[1], digits_like()
    x = np.random.default_rng(0).standard_normal((40, 1, 8, 8)).astype(np.float32)
    assert np.array_equal(bench.run(graph, x), run_graph(graph, x))
    assert bench.run(graph, x[:0]).shape == (0, 10)


def test_programs_of_several_workbenches_stay_and_run_in_place(kernel_folder: Path) -> None:
    config = TargetConfig(kernel_cache=str(kernel_folder))
    first, second = Workbench(config, 1), Workbench(config, 1)
    with pytest.raises(BuildError, match="nothing is built yet"):
        _ = first.program
    graphs = {first: zoo(0), second: zoo(1)}
    for bench, graph in graphs.items():
        bench.build(graph)
    for bench, graph in graphs.items():
        x = fixed_input(graph, 1)
        before = bench.program.run(x)
        bench.program.execute()  # the input stays in place, so the same result comes again
        assert np.array_equal(before, run_graph(graph, x))
        assert np.array_equal(before, bench.program.run(x))


def test_two_equal_buffers_are_not_merged(benches: Any) -> None:
    # Both branches have one shape and start as zeros; merging them would double one branch.
    build = GraphBuilder(3)
    q = build.image(4, 6, 6)
    total = build.add(build.conv(q, 4, wide=True), build.conv(q, 4, wide=True))
    flat = build.flatten(build.requantize(total, 8))
    graph = build.graph(build.linear(flat, 3))
    x = fixed_input(graph, 5)
    assert np.array_equal(benches[1].run(graph, x), run_graph(graph, x))


def test_a_vector_network_needs_no_images(benches: Any) -> None:
    build = GraphBuilder()
    x = build.tensor((24,), "float32", "x")
    q = build.tensor((24,), "uint8")
    image = GraphBuilder()
    image.image(1, 2, 2)
    build.ops.append(replace(image.ops[0], input=x, output=q))
    graph = build.graph(build.linear(q, 5))
    values = fixed_input(graph, 2)
    assert np.array_equal(benches[1].run(graph, values), run_graph(graph, values))


def test_build_checks_the_result(benches: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, graph = benches[1], digits_like()
    honest = plan_step

    def doubled(step: Any, context: Any) -> Any:
        """Plan with every float32 constant doubled, as a wrong packing of multipliers would."""
        plan = honest(step, context)
        if plan is None:
            return None
        constants = [2 * a if a.dtype == np.float32 else a for a in plan.constants]
        return replace(plan, constants=tuple(constants))

    monkeypatch.setattr(workbench, "plan_step", doubled)
    with pytest.raises(BuildError, match="of 10 outputs differ from the integer reference"):
        bench.build(graph)
    with pytest.raises(BuildError, match="nothing is built"):
        bench.time(ProtocolConfig(), 1.0, 0.0)  # a wrong program must not be timed by a later call


def test_a_wrong_input_shape_is_named(benches: Any) -> None:
    with pytest.raises(BuildError, match=r"shape \(1, 1, 8, 8\), found \(1, 1, 8, 9\)"):
        benches[1].run(digits_like(), np.zeros((2, 1, 8, 9), np.float32))


def test_building_a_known_candidate_is_fast(benches: Any) -> None:
    bench = benches[1]
    bench.build(digits_like())
    seconds = sorted(bench.build(digits_like(seed=seed)).build_s for seed in range(1, 6))
    assert seconds[2] < 0.1


def test_identity_follows_code_and_shapes_and_not_values(benches: Any) -> None:
    bench, graph = benches[1], digits_like()
    assert bench.identity(graph) == bench.identity(digits_like(seed=5))
    one = bench.identity(layer_alone(graph, "layer2", (8, 8), 0))
    assert one != bench.identity(layer_alone(graph, "layer2", (2, 2), 0))
    assert one != bench.identity(layer_alone(graph, "layer3", (8, 8), 0))


def test_a_cached_kernel_that_computes_wrongly_is_set_aside_and_compiled_again(
    tmp_path: Path,
) -> None:
    """Its key and its files agree: as a compiler that was broken then left it."""
    config, graph = TargetConfig(kernel_cache=str(tmp_path), tune_s=0.0), digits_like()
    first = Workbench(config, 1)
    plan = first._plan(first._ready(graph)).plans[0]

    def mirrored(symbol: str) -> Any:
        text = plan.build(symbol).script()
        assert "+ v_2] = " in text
        return tvm.script.from_source(text.replace("+ v_2] = ", "+ (7 - v_2)] = "))

    entry = tmp_path / plan.symbol
    compile_entry(entry, replace(plan, build=mirrored), KernelTarget.of(config))
    built = first.build(graph)
    assert built.wrong_kernels == (f"{entry}.wrong",)
    x = fixed_input(graph, 1)
    assert np.array_equal(first.program.run(x), run_graph(graph, x))
    assert Workbench(config, 1).build(graph).wrong_kernels == ()
    assert (tmp_path / f"{plan.symbol}.wrong" / "key.json").exists()
