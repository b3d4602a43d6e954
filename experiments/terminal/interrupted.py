"""Interrupted: Ctrl-C while a command still loads is one word, too, and no traceback."""

import sys
from types import TracebackType


def tell_interrupts() -> None:
    """Have an interrupt that nobody catches told in one word; the exit code stays its own."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        else:
            before(kind, error, trace)

    sys.excepthook = hook
