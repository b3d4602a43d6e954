"""Exit codes: how a command tells its caller what happened, and errors become one sentence."""

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hardware.errors import HardwareLostError
from quant.errors import BitAllocError

DONE = 0
USER_MISTAKE = 2
HARDWARE_LOST = 3
INTERRUPTED = 130


_DISK_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT)
"""Errors of the file system that the user can mend, whichever file met them."""


def run_command(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; what a user can cause or cure has no traceback.

    SIGTERM ends it as Ctrl-C does: what is running is left, what is finished is kept. Anything else
    is a defect of ours and is raised with its traceback.
    """
    try:
        with _terminate_as_interrupt():
            return command() or DONE
    except HardwareLostError as error:
        _tell(error)
        return HARDWARE_LOST
    except BitAllocError as error:
        _tell(error)
        return USER_MISTAKE
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(
            f"error: cannot write {error.filename or 'a file'}: {error.strerror}", file=sys.stderr
        )
        print("hint: free the disk or change --output", file=sys.stderr)
        return USER_MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(error: BitAllocError) -> None:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
