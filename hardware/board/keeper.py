"""Keeper: a process that starts the board again whenever it ends, where no systemd does."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

_LEAST_PAUSE_S = 1.0
_MOST_PAUSE_S = 30.0
_LONG_LIFE_S = 60.0
"""A board that lived this long is started again after the shortest pause."""


def keep_serving(serve: Callable[[], int]) -> int:
    """Fork a child that serves, and another when it ends; return when this process is told to end.

    It must be called before TVM is loaded, whose threads do not survive a fork.

    Args:
        serve: Runs in the child and returns its exit code.
    """
    pause_s = _LEAST_PAUSE_S
    while True:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = serve()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)  # the parent's own cleaning up is not the child's
        _pass_on(child)
        _, status = os.waitpid(child, 0)
        print(f"keeper: the board ended with {_ending(status)}", file=sys.stderr, flush=True)
        if time.monotonic() - started > _LONG_LIFE_S:
            pause_s = _LEAST_PAUSE_S
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _MOST_PAUSE_S)


def _pass_on(child: int) -> None:
    """End the child, and then this process, on SIGTERM and Ctrl-C."""

    def end(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}"
