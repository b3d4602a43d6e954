"""Kept: a job's keeper as the server sees it: started, found again, asked to end, heard of."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

import experiments
from experiments.service.folder import JobFolder
from experiments.service.work.keeper import Ended, Order
from quant.records.atomic_file import atomic_file
from quant.records.regular_file import read_regular

_OUR_PACKAGES = Path(experiments.__file__).parents[1]
_MODULE = "experiments.service.work.keeper"


def start(folder: JobFolder, order: Order, modules: Path | None = None) -> bool:
    """Start a keeper; return False where one is at work already.

    The lock is taken here and handed down, so that there is no moment at which a job is running and
    its lock is free.

    Args:
        folder: The job's.
        order: What is to be done.
        modules: Where the operator's functions are; None for none.
    """
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        folder.ended.unlink(missing_ok=True)
        with atomic_file(folder.order) as made:
            made.write_text(json.dumps(asdict(order)), encoding="utf-8")
        subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(folder.path)],
            env=environment(modules),
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    return True


def is_at_work(folder: JobFolder) -> bool:
    """Return whether a keeper holds the folder's lock."""
    try:
        descriptor = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def ask_to_end(folder: JobFolder) -> None:
    """Ask the keeper to end its job; it may be gone already."""
    keeper = _started(folder).get("keeper")
    if keeper is None or not is_at_work(folder):
        return  # not begun yet: asked again
    with suppress(ProcessLookupError, psutil.Error):
        if _MODULE in psutil.Process(keeper).cmdline():
            os.kill(keeper, signal.SIGTERM)


def ended(folder: JobFolder) -> Ended | None:
    """Return how the last attempt ended, None where its keeper wrote nothing."""
    try:
        return Ended(**json.loads(read_regular(folder.ended)))
    except (OSError, ValueError, TypeError):
        return None


def has_begun(folder: JobFolder, attempt: int) -> bool:
    """Return whether the process of an attempt was started."""
    return bool(_started(folder).get("attempt") == attempt)


def seconds_since_start(folder: JobFolder) -> float:
    """Return how long ago the last process was started, by the clock of the file system."""
    try:
        return max(0.0, time.time() - folder.started.stat().st_mtime)
    except OSError:
        return 0.0


def environment(modules: Path | None) -> dict[str, str]:
    """Return the environment of a process that has this very program, then the modules."""
    places = [str(_OUR_PACKAGES), *([str(modules)] if modules else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}


def _started(folder: JobFolder) -> dict[str, int]:
    try:
        found = json.loads(read_regular(folder.started))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
