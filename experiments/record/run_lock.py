"""RunLock: one process at a time in a run's folder; the lock goes with the process."""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import IO

from experiments.errors import RunFolderError
from experiments.record import files

__all__ = ["RunLock"]


class RunLock:
    """A context manager that holds `RUN/lock`."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is locked yet."""
        self._path = folder / files.LOCK
        self._file: IO[str] | None = None

    def __enter__(self) -> "RunLock":
        """Take the lock.

        Raises:
            RunFolderError: another process works in the folder, or it cannot be written.
        """
        try:
            file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise RunFolderError(
                f"cannot write {self._path}: {error.strerror}", "choose a writable folder"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise RunFolderError(
                f"the run folder {self._path.parent} is in use by another process",
                "wait for it to end, or stop it",
            ) from None
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None
