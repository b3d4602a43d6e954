"""Artifacts: which files of a job may be fetched, and the digest of each."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from experiments.record import files
from experiments.service.errors import NotFoundError
from experiments.service.folder import JobFolder
from experiments.service.web.views import ArtifactView

_INNER = {"keeper.lock", "order.json", "started.json", "ended.json", "job.log", "config.yaml"}
_LEFT_OUT = {files.CHECKPOINTS, files.LOCK}
"""Of a run's folder: the program's own."""
_PIECE = 1 << 20
_MOST_KNOWN = 10_000


class Artifacts:
    """The files of jobs; digests are computed once for each state of a file."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[tuple[str, int, int], str] = {}
        self._lock = threading.Lock()

    def all_of(self, folder: JobFolder) -> list[ArtifactView]:
        """Return the files of a job, by name."""
        found, listed = dict(_files(folder)), []
        for name in sorted(found):
            with suppress(FileNotFoundError):  # gone meanwhile, with its job perhaps
                size, sha256 = self.state(found[name])
                listed.append(ArtifactView(name=name, bytes=size.st_size, sha256=sha256))
        return listed

    def find(self, folder: JobFolder, name: str) -> Path:
        """Return a file by the name that the list has; no other text leads anywhere.

        Raises:
            NotFoundError: there is none.
        """
        for known, path in _files(folder):
            if known == name:
                return path
        raise NotFoundError(f"the job has no file {name!r}", "its list: /v1/jobs/ID/artifacts")

    def state(self, path: Path) -> tuple[os.stat_result, str]:
        """Return a file's state, and the SHA-256 of so much of it, in hexadecimal digits.

        What a running job appends meanwhile belongs to the next state.

        Raises:
            FileNotFoundError: it is gone.
        """
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            key = (str(path), found.st_mtime_ns, found.st_size)
            with self._lock:
                known = self._known.get(key)
            if known is None:
                known = _sha256(file, found.st_size)
                with self._lock:
                    if len(self._known) >= _MOST_KNOWN:
                        self._known.clear()
                    self._known[key] = known
        return found, known


def _sha256(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (piece := file.read(min(_PIECE, size))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()


def _files(folder: JobFolder) -> Iterator[tuple[str, Path]]:
    """Yield every plain file with its name; of a search, as its run's folder has it."""
    run = folder.run
    if run.is_symlink():
        yield from _below(folder.path / JobFolder.RUNS / os.readlink(run), _LEFT_OUT)
    else:
        yield from _below(folder.path, _INNER | _LEFT_OUT | {str(JobFolder.RUNS)})


def _below(root: Path, left_out: set[str]) -> Iterator[tuple[str, Path]]:
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in left_out]
        for name in names:
            path = Path(place, name)
            if name in left_out or name.startswith(".") or path.is_symlink():
                continue
            if path.is_file():
                yield path.relative_to(root).as_posix(), path
