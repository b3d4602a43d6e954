"""WrittenFile: the file that a flag names, looked at before the work whose figures it gets."""

import errno
import os
from pathlib import Path

from experiments.errors import RunFolderError, cannot_write
from quant.records.disk import probe


def check_file(file: Path | None, flag: str) -> None:
    """Refuse a file that could not be written: nobody wants to hear that an hour later.

    Args:
        file: To be written, None for none.
        flag: That named it, with its metavar.

    Raises:
        RunFolderError: it is a folder, or read-only; or its folder is so, or missing.
    """
    if file is None:
        return
    try:
        refused = _refused(file)
    except OSError as error:  # of a name that is too long, or a folder that lets nobody look
        refused = error
    if isinstance(refused, OSError):
        raise cannot_write(file, refused, flag)
    if refused:
        raise RunFolderError(f"cannot write {file}: {refused}", f"name another file: {flag}")


def write_file(file: Path, content: str | bytes, flag: str) -> None:
    """Write a file, which may be `/dev/stdout`, and say so.

    Raises:
        RunFolderError: it cannot be written; names the flag, with its metavar.
    """
    try:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise cannot_write(file, error, flag) from None
    print(f"written to {file}")


def _refused(file: Path) -> OSError | str | None:
    if file.is_dir():
        return "it is a folder"
    if file.exists():
        closed = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return None if os.access(file, os.W_OK) else closed
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    return probe(file.parent)
