"""Folders that somebody else may have made: nothing is written through a link."""

import os
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.plain_folder import check_plain
from experiments.stages.event_log import EventLog
from experiments.terminal.exit_codes import USER_MISTAKE
from tests.experiments.run_folders import make_run


@pytest.mark.parametrize("name", [files.COMMAND, files.LOG, files.LOCK, "checkpoints", "tb/x"])
def test_a_run_does_not_go_on_through_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = make_run(tmp_path).path
    other = tmp_path / "precious"
    other.write_text("as it was")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(other)
    capsys.readouterr()
    assert run_module.main(["--resume", str(folder)]) == USER_MISTAKE
    assert f"{folder / name} is a link" in capsys.readouterr().err
    assert other.read_text() == "as it was"


def test_a_pipe_in_a_run_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path).path
    check_plain(folder)
    os.mkfifo(folder / "tb" / "pipe")
    with pytest.raises(RunFolderError, match="tb/pipe is no regular file"):
        check_plain(folder)


def test_a_folder_in_the_place_of_an_event_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.bitalloc").mkdir()
    with pytest.raises(RunFolderError, match="bitalloc: Is a directory"):
        EventLog(tmp_path)
