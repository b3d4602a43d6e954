"""RpcDevice with a board that is this machine: everything a local device does, over sockets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware.board.names import AGENT_VERSION
from hardware.errors import BuildError, HardwareLostError
from hardware.graph.agreement import fixed_input
from hardware.host.remote.device import RpcDevice
from hardware.measure_layers import choose_tiles, digest_tiles, measure_layer_table
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.store import Store
from hardware.stored_device import StoredDevice
from hardware.target import TargetConfig
from hardware.worker.rpc import workbench
from quant.deploy_graph import Conv2d, DeployGraph
from quant.integer import run_graph
from tests.hardware.graphs import digits_like, zoo
from tests.hardware.host.remote.boards import Board
from tests.hardware.host.remote.conftest import PROTOCOL


def wrong_weights(graph: DeployGraph) -> DeployGraph:
    """Return a graph with a layer that no kernel computes: its padding is half of an image."""
    first = graph.layer_ops()[0]
    assert isinstance(first, Conv2d)
    broken = replace(first, stride=(0, 0))
    return replace(graph, ops=tuple(broken if op is first else op for op in graph.ops))


def test_a_measurement_says_what_where_and_how(device: RpcDevice, board: Board) -> None:
    result = device.measure(digits_like())
    assert result.error == ""
    measurement = result.measurement
    assert measurement is not None
    assert measurement.source == "measured"
    assert len(measurement.values_ms) >= 5
    facts = measurement.facts
    assert facts["board"] == board.name
    assert facts["agent"] == AGENT_VERSION
    assert facts["preset"] == "same-cpu"
    assert facts["tvm"] == "0.27.0.post1"
    assert set(facts["families"]) == {op.layer for op in digits_like().layer_ops()}
    assert {"load_1min"} <= set(facts["before"])
    assert facts["ruler"]["before_us"] > 0
    assert facts["reference_drift"] > -1.0
    assert device.source == "measured"
    assert result.build_s > 0
    assert result.measure_s > 0


def test_two_equal_machines_have_equal_facts_and_no_names(device: RpcDevice) -> None:
    assert not {"id", "hostname"} & set(device.facts())


def test_run_agrees_to_the_bit(device: RpcDevice) -> None:
    for graph in (zoo(0), digits_like()):
        x = fixed_input(graph, 3)
        assert np.array_equal(device.run(graph, x), run_graph(graph, x))


def test_a_candidate_that_cannot_be_built_is_a_value(device: RpcDevice) -> None:
    result = device.measure(wrong_weights(digits_like()))
    assert result.measurement is None
    assert result.error
    with pytest.raises(BuildError):
        device.run(wrong_weights(digits_like()), fixed_input(digits_like(), 1))
    assert device.measure(digits_like()).error == ""


def test_the_layer_table_and_the_tiles(device: RpcDevice) -> None:
    graph = digits_like()
    before = digest_tiles(device, graph, (4, 8))
    report = choose_tiles(device, graph, (4, 8))
    assert report.searched > 0
    assert not report.failed
    table = measure_layer_table(device, graph, (4, 8), equal_bits=True)
    assert table.source == "measured"
    assert all(time_us > 0 for row in table.times_us.values() for time_us in row.values())
    assert isinstance(before, str)


def test_the_reference_stays_loaded_however_many_programs_follow(
    board: Board, kernel_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TargetConfig(
        board="same-cpu", server=board.server, kernel_cache=str(kernel_folder), tune_s=0.0
    )
    monkeypatch.setattr(workbench, "_MOST_LOADED", 2)
    bench = workbench.RemoteWorkbench(config, 1)
    bench.connect(60.0)
    bench.check_reference()
    for bits in (8, 6, 4, 2):
        bench.check_bits(bits)
    assert bench.ruler_us() > 0
    assert bench.program.time_repeats(1, 1)
    bench.release()


def test_the_board_is_free_between_two_measurements(device: RpcDevice, board: Board) -> None:
    device.measure(digits_like())
    assert board.open_session() > 0
    board.close_session()


def test_a_stored_measurement_needs_no_second_one(device: RpcDevice, tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        stored = StoredDevice(device, store, PROTOCOL)
        for _ in range(5):
            result = stored.measure(digits_like())
            if result.measurement is not None and result.measurement.verdict.stable:
                break
        else:
            pytest.skip("this machine is too busy for one stable measurement in five")
        again = stored.measure(digits_like())
        assert again.cached
        assert again.measurement is not None
        assert again.measurement.facts["board"] == result.measurement.facts["board"]


@pytest.mark.slow
def test_a_server_that_is_no_board_of_ours_is_told(tmp_path: Path) -> None:
    with Board(tmp_path, command=["-m", "tests.hardware.host.remote.stock_server"]) as stock:
        config = TargetConfig(board="same-cpu", server=stock.server)
        with open_device(config, ProtocolConfig()) as device:
            assert isinstance(device, RpcDevice)
            with pytest.raises(HardwareLostError, match="serves TVM RPC but not BitAlloc's"):
                device.facts()


@pytest.mark.slow
def test_nobody_there_is_lost_hardware_after_the_time_given() -> None:
    config = TargetConfig(board="same-cpu", server="127.0.0.1:1", reconnect_s=1.0)
    lost = pytest.raises(HardwareLostError, match=r"no board after .* s: .*127\.0\.0\.1:1")
    with RpcDevice(config, PROTOCOL) as device, lost:
        device.facts()
