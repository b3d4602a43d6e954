"""Lines of C that nobody asked for stay away from stdout, and all others do not."""

import ctypes
import os
import subprocess
import sys

import pytest

from agents.solvers.quiet_stdout import without_lines

_C = ctypes.CDLL(None)


def test_one_kind_of_lines_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    _C.puts(b"before")
    with without_lines(b"Mending"):
        _C.puts(b"Mending a solution")
        os.write(1, b"another thread's\n")
        _C.puts(b"not Mending")
    _C.puts(b"after")
    _C.fflush(None)
    assert capfd.readouterr().out == "before\nanother thread's\nnot Mending\nafter\n"


def test_an_error_comes_through_and_stdout_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), without_lines(b"Mending"):
        raise KeyError
    os.write(1, b"Mending is heard again\n")
    assert capfd.readouterr().out == "Mending is heard again\n"


def test_a_process_without_stdout_goes_on() -> None:
    program = "import os; os.close(1)\n"
    program += "from agents.solvers.quiet_stdout import without_lines\n"
    program += "with without_lines(b'x'): pass"
    subprocess.run([sys.executable, "-c", program], check=True)
