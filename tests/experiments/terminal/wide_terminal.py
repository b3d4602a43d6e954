"""A terminal of 160 columns in the place of stderr."""

import io

import pytest


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what is written to it, for as long as the patch holds."""
    stream = _Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    return stream
