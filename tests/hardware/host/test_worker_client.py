"""The worker process: killed, hung, crashed by a candidate, orphaned. Real processes throughout."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from hardware.errors import BuildError, HardwareLostError
from hardware.host.local.device import LocalDevice
from hardware.host.worker_client import WorkerClient, WorkerLateError, WorkerLostError
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like

ROOT = Path(__file__).resolve().parents[3]
GRAPH = digits_like()


class OnArrival:
    """Hides in a candidate and runs a function inside the worker, when it is unpickled there."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def candidate(function: Any, *arguments: Any) -> Any:
    return replace(GRAPH, network=cast(str, OnArrival(function, *arguments)))


CRASH = candidate(faulthandler._sigsegv)  # type: ignore[attr-defined]
HANG = candidate(time.sleep, 600)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def config(kernel_folder: Path) -> TargetConfig:
    return TargetConfig(kernel_cache=str(kernel_folder))


@pytest.fixture
def client(config: TargetConfig) -> Iterator[WorkerClient]:
    client = WorkerClient(config, 1)
    yield client
    client.close()


@pytest.fixture(scope="module")
def device(config: TargetConfig) -> Iterator[LocalDevice]:
    protocol = ProtocolConfig(timeout_s=30.0, min_repeat_ms=0.5, repeats=5)
    with LocalDevice(config, protocol) as device:
        yield device


def test_a_crash_is_reported_and_the_next_call_works(client: WorkerClient) -> None:
    with pytest.raises(WorkerLostError, match=r"died during 'identity' \(signal SIGSEGV\)"):
        client.call("identity", CRASH, limit_s=30)
    assert client.call("identity", GRAPH, limit_s=30)


def test_a_workers_last_words_are_heard(
    config: TargetConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It closes its end first and says why a moment later, as an interpreter that ends does."""
    package = tmp_path / "hardware" / "worker"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import os, sys, time\n"
        "os.close(int(sys.argv[1]))\n"
        "time.sleep(0.5)\n"
        "sys.exit('the licence server was not found')\n"
    )
    monkeypatch.setattr("hardware.host.worker_client._ROOT", tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(HardwareLostError, match=r"exit code 1.*the licence server was not found"):
        WorkerClient(config, 1).ensure_started()


def test_what_cannot_be_handed_over_is_a_sentence(client: WorkerClient) -> None:
    with pytest.raises(BuildError, match="cannot be handed to the measuring process"):
        client.call("identity", lambda: None, limit_s=30)


def test_a_hang_is_killed_at_the_limit(client: WorkerClient) -> None:
    client.ensure_started()
    pid = client.pid
    started = time.monotonic()
    with pytest.raises(
        WorkerLateError, match=r"took more than 0\.5 s for 'identity' and was killed"
    ):
        client.call("identity", HANG, limit_s=0.5)
    assert time.monotonic() - started < 5.0
    assert pid is not None
    assert not is_alive(pid)


def test_a_stopped_worker_that_reads_nothing_is_killed_too(client: WorkerClient) -> None:
    client.ensure_started()
    assert client.pid is not None
    os.kill(client.pid, signal.SIGSTOP)
    with pytest.raises(WorkerLostError, match="took more than"):
        client.call("identity", bytes(50_000_000), limit_s=0.5)  # more than any socket buffers


def test_a_candidates_own_error_leaves_the_worker_alive(client: WorkerClient) -> None:
    client.ensure_started()
    pid = client.pid
    with pytest.raises(BuildError, match="nothing is built yet"):
        client.call("time", ProtocolConfig(), 1.0, 0.0, limit_s=30)
    assert client.pid == pid
    assert is_alive(pid or 0)


@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupted_call_leaves_no_reply_behind(client: WorkerClient) -> None:
    client.ensure_started()
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    started = time.monotonic()
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        client.call("identity", HANG, limit_s=30)
    assert time.monotonic() - started < 5.0
    assert client.pid is None
    assert client.call("identity", GRAPH, limit_s=30)


def test_a_worker_that_cannot_start_is_lost_hardware(
    client: WorkerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho error: no such interpreter >&2\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(
        HardwareLostError, match=r"3 times in a row.*exit code 9.*error: no such interp"
    ):
        client.ensure_started()


def test_the_worker_has_no_torch(device: LocalDevice, config: TargetConfig) -> None:
    script = """
import sys
from hardware.worker import process as worker
reply, bench = worker._open((%r, 1))
from tests.hardware.graphs import digits_like
bench.build(digits_like())
assert reply[0] == worker.OK, reply
print(sorted(name for name in sys.modules if name.partition(".")[0] == "torch"))
"""
    script = "from hardware.target import TargetConfig\n" + script % (config,)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_the_parent_needs_neither_tvm_nor_torch(config: TargetConfig) -> None:
    script = f"""
import sys
from hardware.open_device import open_device
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like
protocol = ProtocolConfig(repeats=5, min_repeat_ms=0.5)
with open_device({config!r}, protocol) as device:
    result = device.measure(digits_like())
assert result.measurement is not None, result.error
print([name for name in ("torch", "tvm", "tvm_ffi") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_worker_dies_with_its_parent(config: TargetConfig, busy: bool) -> None:
    script = f"""
import sys, threading, time
from hardware.target import TargetConfig
from hardware.host.worker_client import WorkerClient
client = WorkerClient({config!r}, 1)
threading.Thread(target=client.ensure_started).start()  # a thread that ends must not matter
while not client.facts:
    time.sleep(0.01)
time.sleep(0.2)
print(client.pid, flush=True)
if {busy}:
    from tests.hardware.host.test_worker_client import HANG
    client.call("identity", HANG, limit_s=600)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    time.sleep(2.0 if busy else 0.0)  # time to be in the middle of the call
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10.0
    while is_alive(pid):
        assert time.monotonic() < end, "the worker outlived its parent"
        time.sleep(0.01)


def test_a_candidate_that_crashes_the_worker_is_an_error_and_the_next_is_measured(
    device: LocalDevice,
) -> None:
    result = device.measure(CRASH)
    assert result.measurement is None
    assert "SIGSEGV" in result.error
    assert "2 times in a row" in result.error
    assert device.measure(GRAPH).measurement is not None


def test_a_worker_lost_once_costs_nothing(device: LocalDevice, tmp_path: Path) -> None:
    mark = tmp_path / "crashed"
    crash_once = f"test -e {mark} || {{ touch {mark}; kill -ILL $PPID; }}"
    result = device.measure(candidate(subprocess.check_call, ["sh", "-c", crash_once]))
    assert mark.exists()
    assert result.measurement is not None, result.error


class LateWorker:
    """Is late some times, and notes the limits that it had; real ones take minutes when busy."""

    def __init__(self, late: int) -> None:
        self.late, self.limits_s = late, list[float]()

    def call(self, method: str, *arguments: Any, limit_s: float) -> str:
        self.limits_s.append(limit_s)
        if len(self.limits_s) <= self.late:
            raise WorkerLateError(f"took more than {limit_s:g} s for {method!r}")
        return "done"

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("load", "expected_s"), [(0.0, [60.0, 120.0]), (3.0, [180.0, 360.0])])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_what_is_late_gets_twice_as_long_and_a_busy_machine_more(
    load: float,
    expected_s: list[float],
    late: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    all_cores = load * (os.cpu_count() or 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (all_cores, 0.0, 0.0))
    worker = LateWorker(late)
    with LocalDevice(TargetConfig(), ProtocolConfig()) as device:
        monkeypatch.setattr(device, "_worker", worker)
        if late < 2:
            assert device.identity(GRAPH) == "done"
        else:
            with pytest.raises(BuildError, match=r"2 times in a row \(.* --protocol\.timeout-s"):
                device.identity(GRAPH)
    assert worker.limits_s == expected_s[: late + 1]
    assert len(caplog.messages) == min(late, 1)
    assert all("it gets 2 times as long once more" in line for line in caplog.messages)
