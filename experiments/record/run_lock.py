"""Run lock: one process at a time in a run's folder; the lock goes with the process."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import RunFolderError, cannot_write
from experiments.record import files


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `RUN/lock` while the context is open.

    Raises:
        RunFolderError: another process works in the folder, or it cannot be written.
    """
    path = folder / files.LOCK
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(
                f"the run folder {folder} is in use by another process",
                "wait for it to end, or stop it",
            ) from None
        yield
