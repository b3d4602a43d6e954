"""Reading files that may be anything: a folder may come from somebody else, or be damaged.

A pipe would be waited for without end, a device such as /dev/zero has no end, and a file of zeros
that takes no room on a disk can be larger than any memory.
"""

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 28
"""Of a document: a hundred times that of the longest search that anybody had."""


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return what is in a regular file.

    Args:
        path: The file, or a link to one.
        most_bytes: Larger files are refused.

    Raises:
        OSError: there is none, it is something else, or it is too large; `strerror` says what.
    """
    check_regular(path)
    # It may have become a pipe since: opening one waits for a writer, but not so.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size > most_bytes:
            large = f"it is of {found.st_size:,} bytes, and at most {most_bytes:,} are read"
            raise OSError(errno.EFBIG, large, str(path))
        # Python takes the memory that is asked for before it reads.
        return file.read(min(most_bytes, found.st_size))


def check_regular(path: Path) -> None:
    """Refuse what a library that opens files by their name should not open.

    Raises:
        OSError: there is no such file, or it is no regular one.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
