"""Two at once, a clock that is set back, and processes that stand still for a minute."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from experiments.record import files
from experiments.record.curves import read_curves
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.store import Store
from tests.experiments.run.test_resume import rows, wait_for_rows
from tests.faults.commands import SIMULATED, SMALL, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STOPPED_S = 60.0


def _start(*arguments: str, module: str = "experiments.run") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=280)
    assert "Traceback" not in errors
    return process.returncode, errors


def test_two_runs_share_a_store_that_nobody_had(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store.sqlite"))
    outputs = [tmp_path / name for name in ("one", "other")]
    started = [_start(*SIMULATED, *store, "--output", str(output)) for output in outputs]
    assert [_end(process)[0] for process in started] == [DONE, DONE]
    one, other = (rows((output / "latest").resolve()) for output in outputs)
    assert [row["allocation"] for row in one] == [row["allocation"] for row in other]
    with Store(tmp_path / "store.sqlite") as opened:
        assert opened.count("measurement") == len({json.dumps(r["allocation"]) for r in one})


def test_of_two_that_go_on_in_one_folder_one_is_refused(tmp_path: Path) -> None:
    assert run("experiments.run", *SIMULATED, "--output", str(tmp_path)).returncode == DONE
    folder = (tmp_path / "latest").resolve()
    before = len(rows(folder))
    more = ("--resume", str(folder), "--evaluations", "30")
    ended = [_end(process) for process in (_start(*more), _start(*more))]
    codes = sorted(code for code, _ in ended)
    assert codes in ([DONE, USER_MISTAKE], [DONE, DONE])  # or one after the other
    for code, errors in ended:
        assert code == DONE or f"{folder} is in use by another process" in errors
    lines = rows(folder)
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert len(lines) > before


def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "one", tmp_path / "other"
    arguments = [*SIMULATED, "--evaluations", "24"]
    assert _end(_start(*arguments, "--output", str(undisturbed)))[0] == DONE
    process = _start(*arguments, "--output", str(disturbed), module="tests.faults.run_with_clock")
    assert _end(process)[0] == DONE
    one, other = ((output / "latest").resolve() for output in (undisturbed, disturbed))
    for name in ("allocation", "score", "loss", "latency_ms"):
        assert [row[name] for row in rows(one)] == [row[name] for row in rows(other)]
    results = json.loads((other / files.RESULTS).read_text())
    assert 0 < results["seconds"] < 600
    for row in rows(other):
        assert all(0 <= float(str(row[f"{what}_s"])) < 600 for what in ("train", "measure"))
    used = read_curves(other / files.EVENTS)["evaluation/used"]
    assert list(used.steps) == list(range(1, len(rows(other)) + 1))
    assert run("experiments.run", "--resume", str(other)).returncode == DONE


@pytest.mark.parametrize("who", ["run", "worker"])
def test_standing_still_for_a_minute_is_no_measurement(tmp_path: Path, who: str) -> None:
    process = _start(*SMALL, "--target.runner", "local", "--output", str(tmp_path))
    deadline = time.monotonic() + 240
    while not (tmp_path / "latest" / files.BUDGET).exists():
        assert process.poll() is None, _end(process)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    folder = (tmp_path / "latest").resolve()
    wait_for_rows(folder, 2, process)  # type: ignore[arg-type]
    stopped = process.pid if who == "run" else _worker_of(process.pid)
    os.kill(stopped, signal.SIGSTOP)
    try:
        time.sleep(STOPPED_S)
        assert process.poll() is None
    finally:
        with suppress(ProcessLookupError):  # a worker past its limit is killed, and replaced
            os.kill(stopped, signal.SIGCONT)
    code, errors = _end(process)
    assert code == DONE, errors
    times = [float(str(row["latency_ms"])) for row in rows(folder)]
    assert max(times) < 20 * min(times), "a minute of standing still was believed"


def _worker_of(parent: int) -> int:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            command = (file.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"hardware.worker" in command:
            return int(file.parent.name)
    raise AssertionError("the run has no worker")
