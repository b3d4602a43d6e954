"""Exit codes: how a command tells its caller what happened, and errors become one sentence."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hardware.errors import HardwareLostError
from quant.errors import BitAllocError
from quant.records.disk import CLOSED, FULL, NO_FILE

DONE = 0
USER_MISTAKE = 2
HARDWARE_LOST = 3
INTERRUPTED = 130

_FULL_HINT = (
    "free the disk, or name another place: --output, or the variables XDG_CACHE_HOME, TMPDIR"
)
_CLOSED_HINT = "let this user read it, or write it where it is to be written"


def run_command(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; what a user can cause or cure has no traceback.

    SIGTERM ends it as Ctrl-C does: what is running is left, what is finished is kept. Anything else
    is a defect of ours and is raised with its traceback.
    """
    try:
        with _terminate_as_interrupt(), _quiet_threads():
            return command() or DONE
    except HardwareLostError as error:
        _tell(error)
        return HARDWARE_LOST
    except BitAllocError as error:
        _tell(error)
        return USER_MISTAKE
    except OSError as error:
        named = error.errno in NO_FILE and error.filename is not None
        if error.errno not in (*FULL, *CLOSED) and not named:
            raise
        # Which file it was says more than we know: it may be one that was only read.
        found = error.filename or "a file"
        if error.errno in FULL:
            _tell(BitAllocError(f"cannot write {found}: {error.strerror}", _FULL_HINT))
        elif named:
            _tell(BitAllocError(f"cannot open {found}: {error.strerror}"))
        else:
            _tell(BitAllocError(f"cannot open {found}: {error.strerror}", _CLOSED_HINT))
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


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Let a thread that meets the disk's end die without a traceback.

    A writer's own thread cannot end the command: whoever hands it the next piece hears of it.
    """

    def hook(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if not (isinstance(error, OSError) and error.errno in (*FULL, *CLOSED)):
            before(arguments)

    before = threading.excepthook
    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _tell(error: BitAllocError) -> None:
    print(f"error: {_one_line(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {_one_line(error.hint)}", file=sys.stderr)


def _one_line(text: str) -> str:
    """Return a text as one line that moves no cursor: it may quote a file, or its name."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
