"""Float islands on a board that is this machine: compiled here, linked, run over sockets."""

from pathlib import Path

import numpy as np
import pytest

from hardware.errors import BuildError
from hardware.host.remote.device import RpcDevice
from hardware.measure_layers import measure_layer_table
from hardware.target import TargetConfig
from hardware.worker.rpc.remote_program import RemoteProgram
from hardware.worker.rpc.workbench import RemoteWorkbench
from hardware.worker.workbench import Workbench
from quant.deploy_graph import DeployGraph, RunIsland
from quant.testing import random_images
from tests.hardware.host.remote.boards import Board
from tests.hardware.island_graphs import converted


@pytest.fixture(scope="module")
def graph() -> DeployGraph:
    return converted("transposed")


def test_a_network_with_islands_is_measured_and_runs_as_it_does_here(
    device: RpcDevice, graph: DeployGraph, kernel_folder: Path
) -> None:
    result = device.measure(graph)  # checks the agreement before anything is timed
    assert result.error == ""
    assert result.measurement is not None
    images = random_images(3, graph.tensors[graph.input].shape, seed=7).numpy()
    here = Workbench(TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0), 1)
    # The same code on the same CPU: equal to the bit, inside the islands as well.
    assert np.array_equal(device.run(graph, images), here.run(graph, images))


def test_the_layer_table_has_the_islands(device: RpcDevice, graph: DeployGraph) -> None:
    table = measure_layer_table(device, graph, (8,), equal_bits=True)
    islands = [op.name for op in graph.ops if isinstance(op, RunIsland)]
    assert list(table.islands_us) == islands
    assert all(taken_us > 0 for taken_us in table.islands_us.values())
    assert set(table.times_us) == {op.layer for op in graph.layer_ops()}


def test_an_island_that_is_wrong_on_the_board_is_found(
    board: Board, graph: DeployGraph, kernel_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TargetConfig(
        board="same-cpu", server=board.server, kernel_cache=str(kernel_folder), tune_s=0.0
    )
    bench = RemoteWorkbench(config, 1)
    bench.connect(60.0)
    bench.build(graph)
    value = RemoteProgram.value
    monkeypatch.setattr(RemoteProgram, "value", lambda *given: value(*given) * np.float32(1.0001))
    with pytest.raises(BuildError, match=r"the float island .* is off by"):
        bench.build(graph)
    bench.release()
