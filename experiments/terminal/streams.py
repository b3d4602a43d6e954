"""Streams: who reads stdout may go away or know no Unicode, and the work goes on."""

import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

_PLAIN = {
    **{"±": "+-", "―": "-", "–": "-", "—": "-", "…": "...", "×": "x", "·": ".", "→": "->"},  # noqa: RUF001
    **{"╭": "+", "╮": "+", "╰": "+", "╯": "+", "─": "-", "│": "|"},
    **{"●": "o", "◆": "D", "★": "*", "•": "*", "≤": "<=", "≥": ">=", "²": "2", "µ": "u"},
}
"""What stands for a character that a terminal's encoding lacks."""
_ERRORS = "bitalloc-plain"


class _Stream:
    """A text stream that drops what is written once nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        with _dropped(self._stream):
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write, or drop the lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        with _dropped(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Be the stream in everything else."""
        return getattr(self._stream, name)


@contextmanager
def patient_streams() -> Iterator[None]:
    """Make stdout and stderr outlive their readers, as of `| head`, and plain terminals."""
    codecs.register_error(_ERRORS, _plain)
    before = sys.stdout, sys.stderr
    for stream in before:
        with suppress(AttributeError, ValueError):  # a test's or a notebook's may be anything
            cast(Any, stream).reconfigure(errors=_ERRORS)
    sys.stdout, sys.stderr = (cast(Any, _Stream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def _dropped(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The descriptor, and not the object: Python flushes it once more when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except OSError as error:
        error.filename = error.filename or getattr(stream, "name", None)  # whose disk is full
        raise


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in refused), error.end
