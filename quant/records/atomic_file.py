"""Files that are never seen half written: made beside their place, then moved there in one step."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part-"
"""What the names of files begin with that are being made."""


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a name to write a file (or link) at, which replaces `path` when the block ends.

    A block that raises leaves what is at `path`, and nothing beside it. Processes that write one
    path at a time do not meet: the last one's file stays.

    Args:
        path: Where the file goes; its folder must exist. The name to write at has the same suffix.
        durable: Whether the content is on the disk before it replaces what is there, so that not
            even a power cut leaves half of it.
    """
    made = path.with_name(f"{PART}{secrets.token_hex(4)}-{path.name}")
    try:
        yield made
        if durable:
            with made.open("rb") as file:
                os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file in one step; see `atomic_file`."""
    with atomic_file(path) as made:
        made.write_text(text, encoding="utf-8")
