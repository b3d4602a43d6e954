"""RpcDevice with a board that is this machine: everything a local device does, over sockets."""

from pathlib import Path

import pytest

from hardware.board.names import AGENT_VERSION
from hardware.errors import HardwareLostError
from hardware.host.remote.device import RpcDevice
from hardware.measure_layers import choose_tiles
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.store import Store
from hardware.stored_device import StoredDevice
from hardware.target import TargetConfig
from hardware.worker.rpc import workbench
from tests.hardware.device_contract import WorkerDeviceContract
from tests.hardware.graphs import digits_like
from tests.hardware.host.remote.boards import Board
from tests.hardware.host.remote.conftest import PROTOCOL


@pytest.fixture
def another(board: Board) -> RpcDevice:
    return RpcDevice(TargetConfig(board="same-cpu", server=board.server), PROTOCOL)


def test_tiles_are_searched_on_the_board(device: RpcDevice) -> None:
    report = choose_tiles(device, digits_like(), (4, 8))
    assert report.searched > 0  # what comes later in this file finds these choices
    assert not report.failed


class TestRpcDevice(WorkerDeviceContract):
    pass


def test_a_measurement_says_which_board_it_was(device: RpcDevice, board: Board) -> None:
    measurement = device.measure(digits_like()).measurement
    assert measurement is not None
    facts = measurement.facts
    assert facts["board"] == board.name
    assert facts["agent"] == AGENT_VERSION
    assert facts["preset"] == "same-cpu"
    assert facts["tvm"] == "0.27.0.post1"
    assert facts["reference_drift"] > -1.0


def test_two_equal_machines_have_equal_facts_and_no_names(device: RpcDevice) -> None:
    assert not {"id", "hostname"} & set(device.facts())


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
