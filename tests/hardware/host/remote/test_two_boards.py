"""Several boards under one key: they work at once, and only those that are alike."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm.tirx.script import builder as T

from hardware.errors import HardwareLostError
from hardware.graph.borders import with_borders
from hardware.host.remote.device import RpcDevice
from hardware.kernels.emitting.emit import Parameter, function
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker.program.linking import link_program
from hardware.worker.rpc.reference import reference_graph
from hardware.worker.workbench import Workbench
from tests.hardware.graphs import digits_like
from tests.hardware.host.remote.boards import Board, Tracker

SLEEP_S = 1.0
EXECUTIONS = 8
"""Of one timing, each a second long: opening a session, which takes both boards a second of this
machine's two cores, is then a small part of it."""
MEASUREMENTS = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Tracker]:
    with Tracker(tmp_path) as opened:
        yield opened


def boards(stack: ExitStack, folder: Path, tracker: Tracker, count: int, **options: Any) -> None:
    for _ in range(count):
        place = ["--tracker", tracker.address, "--key", "desk"]
        stack.enter_context(Board(folder, *place, **options))


def config(tracker: Tracker, kernel_folder: Path, count: int) -> TargetConfig:
    return TargetConfig(
        board="same-cpu",
        tracker=tracker.address,
        key="desk",
        boards=count,
        kernel_cache=str(kernel_folder),
        reconnect_s=30.0,
    )


def sleeping_library(folder: Path, kernel_folder: Path) -> Path:
    """Link a program whose only kernel sleeps, as a board that computes without this machine."""
    graph = with_borders(reference_graph())
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)
    planned = bench._plan(graph)
    (plan,) = planned.plans

    def body(*_: Any) -> None:
        T.evaluate(T.call_extern("int32", "usleep", int(SLEEP_S * 1e6)))

    shapes = [((1, *graph.tensors["input"].shape), "uint8")]
    shapes += [(array.shape, str(array.dtype)) for array in plan.constants]
    shapes += [((1, *graph.tensors["output"].shape), "uint8")]
    parameters = [
        Parameter(name=f"p{index}", shape=shape, dtype=dtype)
        for index, (shape, dtype) in enumerate(shapes)
    ]
    module = tvm.IRModule({plan.symbol: function(plan.symbol, parameters, body)})
    code = folder / "sleep.o"
    tvm.tirx.build(module, bench._target.tvm_target()).write_to_file(str(code), "o")
    library = folder / "sleep.so"
    link_program(planned, [code], library, batch=1)
    return library


def measurements_a_minute(device: RpcDevice, library: Path) -> float:
    """Time the same program again and again on all boards, each time in a session of its own."""

    def one(_: int) -> float:
        with device._lane() as lane:
            values = lane.use(lambda call: call("time_library", str(library), 1, EXECUTIONS))
        assert all(value >= 1000.0 * SLEEP_S for value in values)
        return float(min(values))

    with ThreadPoolExecutor(device.parallel) as pool:
        list(pool.map(one, range(device.parallel)))  # starts the workers
        started = time.perf_counter()
        list(pool.map(one, range(MEASUREMENTS)))
        return 60.0 * MEASUREMENTS / (time.perf_counter() - started)


def test_two_boards_that_only_wait_double_the_measurements_a_minute(
    tracker: Tracker, tmp_path: Path, kernel_folder: Path
) -> None:
    library = sleeping_library(tmp_path, kernel_folder)
    rates = {}
    with ExitStack() as stack:
        boards(stack, tmp_path, tracker, 2)
        for count in (1, 2):
            target = config(tracker, kernel_folder, count)
            with RpcDevice(target, ProtocolConfig(timeout_s=30.0)) as device:
                rates[count] = measurements_a_minute(device, library)
    print(f"measurements a minute: {rates}")
    assert rates[2] >= 1.8 * rates[1]


def test_a_board_that_joins_is_used_and_one_that_leaves_is_not_missed(
    tracker: Tracker, tmp_path: Path, kernel_folder: Path
) -> None:
    protocol = ProtocolConfig(repeats=5, min_repeat_ms=0.5, timeout_s=30.0)
    with ExitStack() as stack, RpcDevice(config(tracker, kernel_folder, 2), protocol) as device:
        boards(stack, tmp_path, tracker, 1)

        def measured(count: int) -> set[str]:
            with ThreadPoolExecutor(2) as pool:
                results = list(pool.map(lambda _: device.measure(digits_like()), range(count)))
            assert not [result.error for result in results if result.error]
            return {r.measurement.facts["board"] for r in results if r.measurement is not None}

        (first,) = measured(2)
        with ExitStack() as second:
            boards(second, tmp_path, tracker, 1)
            assert len(measured(6)) == 2
        assert measured(2) == {first}


def test_a_board_of_another_kind_is_never_mixed_in(
    tracker: Tracker, tmp_path: Path, kernel_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = config(tracker, kernel_folder, 1)
    protocol = ProtocolConfig(repeats=5, min_repeat_ms=0.5, timeout_s=30.0)
    with ExitStack() as stack, RpcDevice(target, protocol) as device:
        with ExitStack() as first:
            boards(first, tmp_path, tracker, 1)
            assert device.measure(digits_like()).error == ""
        monkeypatch.setenv("BITALLOC_EMULATED", "somebody")
        boards(stack, tmp_path, tracker, 1)
        with pytest.raises(HardwareLostError, match="emulated 'somebody' instead of ''"):
            device.measure(digits_like())
