"""The machine-wide lock that keeps training from running beside a timing.

Training shares the lock, a timing holds it alone, for every run of this user on this machine. Two
files make it fair to timings: everyone passes the gate first, and a waiting timing keeps the gate
shut, so trainings that begin later cannot overtake it. The kernel frees both when a process dies.
Whoever waits long says so, once in a process.
"""

import fcntl
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from hardware.errors import TargetError

_GATE = "gate.lock"
_DEVICE = "device.lock"

_WAITS = {
    "training": "another process of yours on this machine is measuring, and nothing is trained "
    "beside that; this one goes on by itself",
    "timing": "another process of yours on this machine is measuring or training, and nothing is "
    "measured beside that; this one goes on by itself",
}
"""What is said of a long wait, by what waits."""
_SILENT_S = 5.0
"""A wait is told of after so long."""

_held = threading.local()
_told: set[str] = set()
"""For what this process said that it waits."""


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


def training_lock(folder: Path | None = None) -> AbstractContextManager[None]:
    """Hold the lock as one of several trainings; waits while a timing runs or waits.

    Args:
        folder: Where the lock files are; None means `lock_folder()`.

    Raises:
        RuntimeError: this thread already holds the lock, and would wait for itself for ever.
    """
    return _hold("training", fcntl.LOCK_SH, folder)


def timing_lock(folder: Path | None = None) -> AbstractContextManager[None]:
    """Hold the lock alone; waits until the trainings that already run let go of it.

    Args:
        folder: Where the lock files are; None means `lock_folder()`.

    Raises:
        RuntimeError: this thread already holds the lock, and would wait for itself for ever.
    """
    return _hold("timing", fcntl.LOCK_EX, folder)


@contextmanager
def name_held(name: str, folder: Path | None = None) -> Iterator[bool]:
    """Hold a name beside all others who do; yield whether another process held it already.

    Args:
        name: Of what a process does, a part of a file's name.
        folder: Where the lock files are; None means `lock_folder()`.
    """
    with _open((folder or lock_folder()) / f"{name}.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            others = False
        except BlockingIOError:
            others = True
        fcntl.flock(file, fcntl.LOCK_SH)
        yield others


@contextmanager
def _hold(what: str, mode: int, folder: Path | None) -> Iterator[None]:
    """Pass the gate, then hold the device; a thread's wait for its own lock is an error."""
    if holds := getattr(_held, "what", ""):
        raise RuntimeError(f"this thread asked for the {what} lock inside the {holds} lock")
    _held.what = what
    try:
        place = folder or lock_folder()
        with _open(place / _GATE) as gate, _open(place / _DEVICE) as device:
            _take(gate, mode, what)
            _take(device, mode, what)
            if mode == fcntl.LOCK_SH:
                fcntl.flock(gate, fcntl.LOCK_UN)
            yield
    finally:
        _held.what = ""


def _take(file: int, mode: int, what: str) -> None:
    """Lock a file; say so where that takes long."""
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        timer = threading.Timer(_SILENT_S, _tell, [what])
        timer.daemon = True
        timer.start()
        try:
            fcntl.flock(file, mode)
        finally:
            timer.cancel()


def _tell(what: str) -> None:
    """Say that this process waits, the first time."""
    if what not in _told:
        _told.add(what)
        print(f"waiting: {_WAITS[what]}", file=sys.stderr, flush=True)


@contextmanager
def _open(file: Path) -> Iterator[int]:
    """Lend the descriptor of a lock file."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        # Unlocking is said aloud: a forked child may still hold a copy of the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
