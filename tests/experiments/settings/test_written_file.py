"""A file that could not be written is refused before the work, in one sentence."""

import os
from pathlib import Path

import pytest

from experiments.bench import command as bench
from experiments.errors import RunFolderError
from experiments.settings.written_file import check_file, write_file
from experiments.terminal.exit_codes import USER_MISTAKE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "it is a folder"),
        ("none/x.json", "there is no folder"),
        ("file/x.json", "there is no folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RunFolderError, match=reason):
        check_file(tmp_path / name, "--json FILE")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_and_a_read_only_folder_are_refused(tmp_path: Path) -> None:
    file, folder = tmp_path / "x.json", tmp_path / "folder"
    file.touch(0o400)
    folder.mkdir(0o500)
    for closed in (file, folder / "x.json"):
        with pytest.raises(RunFolderError, match="Permission denied"):
            check_file(closed, "--json FILE")


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "größe 大きさ.json"
    check_file(None, "--json FILE")
    check_file(file, "--json FILE")
    assert not any(tmp_path.iterdir())
    write_file(file, "{}", "--json FILE")
    check_file(file, "--json FILE")
    check_file(Path("/dev/null"), "--json FILE")
    write_file(Path("/dev/null"), b"{}", "--json FILE")
    assert file.read_text() == "{}"
    with pytest.raises(RunFolderError, match="No space left"):
        write_file(Path("/dev/full"), "{}", "--json FILE")


def test_a_bench_looks_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["mca", "--json", str(tmp_path)]) == USER_MISTAKE
    told = capsys.readouterr()
    assert told.err.startswith(f"error: cannot write {tmp_path}: it is a folder")
    assert not told.out
