"""Errors for people: a line each, whatever they quote."""

import errno
from pathlib import Path

import pytest

from experiments.terminal.exit_codes import USER_MISTAKE, run_command
from quant.errors import BitAllocError


def test_an_error_is_one_line_that_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise BitAllocError("cannot read a\nb\x1b[2J: first\n  second", "rm 'a\nb' ± ü")

    assert run_command(command) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert printed == "error: cannot read a b\\x1b[2J: first second\nhint: rm 'a b' ± ü\n"


@pytest.mark.parametrize("name", ["x" * 300, "file/inside"])
def test_a_name_that_no_file_can_have_is_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    def command() -> None:
        (tmp_path / name).read_text()

    assert run_command(command) == USER_MISTAKE
    assert capsys.readouterr().err.startswith(f"error: cannot open {tmp_path / name}: ")


def test_what_is_no_ones_file_keeps_its_traceback() -> None:
    def command() -> None:
        raise NotADirectoryError(errno.ENOTDIR, "of a defect")

    with pytest.raises(NotADirectoryError):
        run_command(command)
