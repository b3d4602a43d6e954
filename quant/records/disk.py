"""Disk: places that cannot be written, and what killed processes leave there."""

import errno
import shutil
import tempfile
import time
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota or a limit that is used up."""
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of a place that is not this user's to write, or to read."""
NO_FILE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Errors of a name that no file can have, or that something else has."""

_LEFT_AFTER_S = 24 * 3600.0
"""No process works on one file for so long."""
_PROBE_BYTES = 1 << 20
"""More than a kernel or a page of a run takes."""


def what_helps(error: BaseException, moved_by: str) -> str:
    """Return what helps where a place cannot be written.

    Args:
        error: Of the file system, or of a library that met one.
        moved_by: The flag or variable that names another place.
    """
    mend = "make it writable" if getattr(error, "errno", None) in CLOSED else "free the disk"
    return f"{mend}, or name another place: {moved_by}"


def probe(folder: Path) -> OSError | None:
    """Return why nothing can be written into a folder; None where it can.

    For libraries that tell no more than that they failed.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error
    return None


def remove_leftovers(folder: Path, *patterns: str, now_s: float | None = None) -> None:
    """Remove what processes that were killed left half made, a day ago or more.

    Args:
        folder: Looked into; it need not exist.
        patterns: Names of what is being made, such as `.part-*`.
        now_s: Seconds since the epoch; None for the clock's.
    """
    before_s = (time.time() if now_s is None else now_s) - _LEFT_AFTER_S
    for pattern in patterns:
        for left in folder.glob(pattern):
            try:
                if left.lstat().st_mtime >= before_s:
                    continue
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            except OSError:
                continue  # another process was quicker, or it is not ours to remove
