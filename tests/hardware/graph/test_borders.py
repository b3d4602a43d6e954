"""Borders: what padded convolutions read is kept around their input, and costs nothing to run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware.graph.borders import border_code, stored_shape, with_borders
from hardware.graph.program_steps import steps_of
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.copying import SLACK_BYTES, needs_copy
from hardware.kernels.schedule.schedule import candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from hardware.worker.program.storage import plan_storage
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.deploy_graph import Conv2d, DeployGraph
from quant.integer import run_graph
from quant.testing import (
    TinyBranchNet,
    TinyResidualNet,
    prepare_calibrated,
    random_allocation,
    random_images,
)

NETWORKS = [(TinyResidualNet, (1, 8, 8)), (TinyBranchNet, (3, 10, 12))]


@pytest.fixture(scope="module", params=NETWORKS)
def graph(request: pytest.FixtureRequest) -> DeployGraph:
    make, shape = request.param
    network = prepare_calibrated(make(), random_images(16, shape))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(3)))
    return convert(network)


def test_the_widest_padding_of_the_readers_decides(graph: DeployGraph) -> None:
    bordered = with_borders(graph)
    for name, tensor in bordered.tensors.items():
        readers = [op for op in graph.ops if isinstance(op, Conv2d) and op.input == name]
        rows = max((op.padding[0] for op in readers), default=0)
        columns = max((op.padding[1] for op in readers), default=0)
        assert tensor.border == (rows, columns)
    assert with_borders(bordered).tensors == bordered.tensors
    assert any(any(tensor.border) for tensor in bordered.tensors.values())


def test_tensors_share_a_storage_only_where_borders_agree(graph: DeployGraph) -> None:
    bordered = with_borders(graph)
    plan = plan_storage(bordered, steps_of(bordered), 2)
    for slot, size in enumerate(plan.sizes_bytes):
        names = [name for name, where in plan.slots.items() if where == slot]
        tensors = [bordered.tensors[name] for name in names]
        if any(any(tensor.border) for tensor in tensors):
            assert len({(tensor.shape, tensor.border) for tensor in tensors}) == 1
            assert {border_code(bordered, name) for name in names} == {plan.fills[slot]}
        assert all(np.prod(stored_shape(t, 2)) <= size for t in tensors if t.dtype == "uint8")


@pytest.mark.parametrize("batch", [1, 3])
def test_a_program_with_borders_agrees_run_after_run(
    graph: DeployGraph, batch: int, tmp_path: Path
) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(tmp_path)), batch)
    bench.build(graph)
    for seed in range(3):
        # A second run finds the borders as the first one left them.
        x = random_images(batch, graph.tensors[graph.input].shape, seed).numpy()
        assert np.array_equal(bench.program.run(x), run_graph(graph, x))


def test_no_padded_layer_of_narrow_codes_copies_its_input() -> None:
    conv = Geometry(
        batch=1, height=9, width=9, channels=8, out_channels=16, kernel=(3, 3), padding=(1, 1)
    )
    family = choose_family("avx2", 4, 4, conv)
    assert needs_copy(conv, family)
    assert not needs_copy(replace(conv, in_border=(1, 1)), family)


def test_no_kernel_reads_further_beyond_its_tensor_than_every_tensor_has_room() -> None:
    # Of one image the weights would be packed, and nothing read far ahead.
    features = Geometry(batch=2, height=1, width=1, channels=4097, out_channels=1000)
    family = choose_family("avx2", 4, 4, features)
    overreads = [one.overread_codes(features, family) for one in candidates(features, family)]
    assert max(overreads) > SLACK_BYTES  # such schedules exist, and a tile search may choose them
    for overread in overreads:
        assert overread <= SLACK_BYTES or needs_copy(features, family, overread)
