"""Errors for people: a line each, whatever they quote."""

import pytest

from experiments.terminal.exit_codes import USER_MISTAKE, run_command
from quant.errors import BitAllocError


def test_an_error_is_one_line_that_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise BitAllocError("cannot read a\nb\x1b[2J: first\n  second", "rm 'a\nb' ± ü")

    assert run_command(command) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert printed == "error: cannot read a b\\x1b[2J: first second\nhint: rm 'a b' ± ü\n"
