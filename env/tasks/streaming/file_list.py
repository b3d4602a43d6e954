"""FileList: the names of very many files, in little memory that processes share."""

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np


class FileList:
    """Paths as one text of bytes.

    A list of a million `Path`s takes half a gigabyte, and each process that only counts references
    to them makes a copy of it.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Keep the names of some files, in this order."""
        names = [os.fsencode(file) for file in files]
        self._text = np.frombuffer(b"".join(names), np.uint8)
        self._ends = np.cumsum([0, *map(len, names)])

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> Path:
        """Return one file."""
        return Path(os.fsdecode(self._text[self._ends[number] : self._ends[number + 1]].tobytes()))

    @cached_property
    def digest(self) -> str:
        """A digest of the files' names, sizes and times of change, as they were when first asked.

        Raises:
            OSError: a file is gone.
        """
        digest = hashlib.sha256()
        for number in range(len(self)):
            file = self[number]
            facts = file.stat()
            digest.update(os.fsencode(file) + f"\0{facts.st_size} {facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()
