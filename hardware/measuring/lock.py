"""The machine-wide lock that keeps training from running beside a timing.

Training shares the lock, a timing holds it alone, for every run of this user on this machine. Two
files make it fair to timings: everyone passes the gate first, and a waiting timing keeps the gate
shut, so trainings that begin later cannot overtake it. The kernel frees both when a process dies.
"""

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardware.errors import TargetError

__all__ = ["lock_folder", "timing_lock", "training_lock"]

_GATE = "gate.lock"
_DEVICE = "device.lock"

_held = threading.local()


def lock_folder() -> Path:
    """Return the folder of the lock files, made on first use.

    `$XDG_RUNTIME_DIR/bitalloc` where a session has one, else a folder of this user among the
    temporary files: both belong to one machine, which a home folder may not.

    Raises:
        TargetError: the folder cannot be made or belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        folder = Path(runtime) / "bitalloc"
    else:
        folder = Path(tempfile.gettempdir()) / f"bitalloc-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise TargetError(f"the lock folder {folder} cannot be made: {error}") from None
    if owner != os.getuid():
        raise TargetError(f"the lock folder {folder} belongs to user id {owner}, not to this user")
    return folder


@contextmanager
def training_lock(folder: Path | None = None) -> Iterator[None]:
    """Hold the lock as one of several trainings; waits while a timing runs or waits.

    Args:
        folder: Where the lock files are; None means `lock_folder()`.

    Raises:
        RuntimeError: this thread already holds the lock, and would wait for itself for ever.
    """
    with _claimed("training"):
        gate, device = _open_both(folder)
        try:
            _wait(gate, fcntl.LOCK_SH)
            _wait(device, fcntl.LOCK_SH)
            _free(gate)
            yield
        finally:
            _close(device)
            _close(gate)


@contextmanager
def timing_lock(folder: Path | None = None) -> Iterator[None]:
    """Hold the lock alone; waits until the trainings that already run let go of it.

    Args:
        folder: Where the lock files are; None means `lock_folder()`.

    Raises:
        RuntimeError: this thread already holds the lock, and would wait for itself for ever.
    """
    with _claimed("timing"):
        gate, device = _open_both(folder)
        try:
            _wait(gate, fcntl.LOCK_EX)
            _wait(device, fcntl.LOCK_EX)
            yield
        finally:
            _close(device)
            _close(gate)


@contextmanager
def _claimed(what: str) -> Iterator[None]:
    """Turn a thread's wait for its own lock into an error."""
    if holds := getattr(_held, "what", ""):
        raise RuntimeError(f"this thread asked for the {what} lock inside the {holds} lock")
    _held.what = what
    try:
        yield
    finally:
        _held.what = ""


def _open_both(folder: Path | None) -> tuple[int, int]:
    place = folder or lock_folder()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    return os.open(place / _GATE, flags, 0o600), os.open(place / _DEVICE, flags, 0o600)


def _wait(descriptor: int, mode: int) -> None:
    fcntl.flock(descriptor, mode)


def _free(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def _close(descriptor: int) -> None:
    # Unlocking is said aloud: a forked child may still hold a copy of the descriptor.
    _free(descriptor)
    os.close(descriptor)
