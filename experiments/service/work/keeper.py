"""The keeper: one process beside each job's own, which outlives the server and ends with the job.

    python -m experiments.service.work.keeper FOLDER LOCK

It starts what FOLDER's `order.json` asks for, in a process group of its own, ends it where it takes
too much memory or time, and writes how it ended into `ended.json`. LOCK is the descriptor of the
folder's lock, which the server took and which goes with this process: whoever finds the lock free
knows that nothing of the job runs. A killed keeper takes the job's process with it.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from experiments.service.folder import JobFolder
from experiments.service.work.isolation import leave_network
from experiments.service.work.memory_group import enter, limited_group, was_refused_memory
from quant.records.atomic_file import atomic_file

_LOOK_S = 0.2
GRACE_S = 5.0
"""Between the request to end and the end by force: a search keeps what is finished."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
MEMORY, TIME, ASKED = "memory", "time", "asked"
"""Why a keeper ends a process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a keeper is to do."""

    attempt: int
    arguments: list[str]
    wall_s: float
    """What is left of the job's time."""
    memory_bytes: int
    network: bool = True
    """Whether the process has one."""
    group: str = ""
    """Control group that is made for it; empty where none can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a job's process ended."""

    attempt: int
    exit_code: int
    """Negative: the number of the signal that ended it."""
    why: str
    """`memory`, `time`, `asked`; empty where it ended by itself."""
    seconds: float
    peak_bytes: int


def main(folder: JobFolder) -> None:
    """Do one order, unless it is done."""
    if folder.ended.exists():
        return
    order = Order(**json.loads(folder.order.read_text(encoding="utf-8")))
    stop: list[str] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(ASKED))
    # What the job's process leaves behind becomes a child of this one, and is ended with it.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wanted = Path(order.group) if order.group else None
    with limited_group(wanted, order.memory_bytes) as group:
        ended = _keep(folder, order, stop, group)
    _write(folder.ended, {name: getattr(ended, name) for name in Ended.__slots__})


def _keep(folder: JobFolder, order: Order, stop: list[str], group: Path | None) -> Ended:
    """Start a job's process, and return how it ended; `stop` says when to end it."""
    started = time.monotonic()
    keeper = os.getpid()

    def prepare() -> None:
        if group is not None:
            enter(group)
        if not order.network:
            leave_network()
        end_with_parent()  # after it: a namespace of users may clear that
        if os.getppid() != keeper:  # it was quicker
            os._exit(1)

    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            order.arguments,
            cwd=folder.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )
    _write(folder.started, {"attempt": order.attempt, "keeper": os.getpid(), "job": process.pid})
    peak = 0
    while process.poll() is None:
        taken = resident_bytes(os.getpid())
        peak = max(peak, taken)
        if taken > order.memory_bytes:
            stop.append(MEMORY)
        elif time.monotonic() - started > order.wall_s:
            stop.append(TIME)
        if stop:
            _end(process)
            break
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
    exit_code = process.wait()
    _end_left_behind()
    if exit_code and group is not None and was_refused_memory(group):
        stop.append(MEMORY)
    return Ended(
        attempt=order.attempt,
        exit_code=exit_code,
        why=stop[0] if stop else "",
        seconds=time.monotonic() - started,
        peak_bytes=peak,
    )


def end_with_parent() -> None:
    """Be killed when the parent ends, however it does; called in a fork."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def resident_bytes(parent: int) -> int:
    """Return the resident memory of all processes below one, without those that just ended."""
    total = 0
    for process in _below(parent):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and after a while end its whole group."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_left_behind() -> None:
    """End what the job's process started and did not end, in whatever group or session."""
    for process in _below(os.getpid()):
        with suppress(psutil.Error):
            process.kill()


def _below(parent: int) -> Iterator[psutil.Process]:
    with suppress(psutil.Error):
        yield from psutil.Process(parent).children(recursive=True)


def _write(path: Path, document: dict[str, Any]) -> None:
    with atomic_file(path, durable=True) as made:
        made.write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(JobFolder(Path(sys.argv[1])))
