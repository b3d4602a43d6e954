"""Quiet stdout: what a C library prints there, whatever it was told, does not come through.

HiGHS prints a line each time that it mends a solution by a linear program, with its output switched
off as well (https://github.com/ERGO-Code/HiGHS/issues/2783), and stdout may be JSON or a table.
"""

import ctypes
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDOUT = 1
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def without_lines(beginning: bytes) -> Iterator[None]:
    """Keep lines that begin so from stdout; others, of other threads too, come when it is over.

    Args:
        beginning: Of the lines that nobody wants.
    """
    with _ONE_AT_A_TIME:
        try:
            stdout = os.dup(_STDOUT)
        except OSError:
            stdout = -1
        if stdout < 0:  # it is closed, and nothing comes through
            yield
            return
        with tempfile.TemporaryFile() as heard:
            _flush()
            os.dup2(heard.fileno(), _STDOUT)
            try:
                yield
            finally:
                _flush()
                os.dup2(stdout, _STDOUT)
                os.close(stdout)
                heard.seek(0)
                others = [line for line in heard if not line.startswith(beginning)]
                with suppress(OSError), open(_STDOUT, "wb", closefd=False) as stream:
                    stream.writelines(others)


def _flush() -> None:
    """Have C write what it holds back."""
    ctypes.CDLL(None).fflush(None)
