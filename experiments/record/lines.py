"""Files that grow by one line of JSON at a time; a line is on the disk before it counts."""

import os
from pathlib import Path
from typing import Any

from experiments.errors import cannot_write
from quant.records.json_form import json_text
from quant.records.regular_file import read_regular


def append_line(path: Path, document: Any) -> None:
    """Append a document, or what has one, as a line; it is on the disk before this returns.

    Raises:
        RunFolderError: the disk is full or read-only.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json_text(document) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from None


def whole_lines(content: bytes) -> list[str]:
    """Return a file's lines; a last one without its end was being written, and never counted."""
    return content[: content.rfind(b"\n") + 1].decode().splitlines()


def cut_torn_line(path: Path) -> None:
    """Remove a last line without its end, before another one is appended.

    The file is cut and not written again: a process killed here must not lose the lines before it.

    Raises:
        RunFolderError: the file cannot be read or cut.
    """
    if not path.exists():
        return
    try:
        content = read_regular(path)
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(path, end)
    except OSError as error:
        raise cannot_write(path, error) from None
