"""Exit codes: how a command tells its caller what happened, and errors become one sentence."""

import errno
import sys
from collections.abc import Callable

from hardware.errors import HardwareLostError
from quant.errors import BitAllocError

__all__ = ["DONE", "HARDWARE_LOST", "INTERRUPTED", "USER_MISTAKE", "run_command"]

DONE = 0
USER_MISTAKE = 2
HARDWARE_LOST = 3
INTERRUPTED = 130


DISK_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT)
"""Errors of the file system that the user can mend, whichever file met them."""


def run_command(command: Callable[[], None]) -> int:
    """Run a command and return its exit code; what a user can cause or cure has no traceback.

    Anything else is a defect of ours and is raised with its traceback.
    """
    try:
        command()
    except HardwareLostError as error:
        _tell(error)
        return HARDWARE_LOST
    except BitAllocError as error:
        _tell(error)
        return USER_MISTAKE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(
            f"error: cannot write {error.filename or 'a file'}: {error.strerror}", file=sys.stderr
        )
        print("hint: free the disk or change --output", file=sys.stderr)
        return USER_MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _tell(error: BitAllocError) -> None:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
