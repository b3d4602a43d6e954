"""A file is whole or what it was before, and nothing is left beside it."""

import os
from pathlib import Path

import pytest

from quant.records.atomic_file import atomic_file, write_atomically


def test_a_new_file_has_the_usual_rights_and_replaces_the_old_one(tmp_path: Path) -> None:
    file, usual = tmp_path / "results.json", tmp_path / "usual"
    usual.touch()
    for text in ("first", "sécond\n"):
        write_atomically(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert file.stat().st_mode == usual.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [file, usual]


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "results.json"
    file.write_text("whole")

    def write() -> None:
        with atomic_file(file, durable=True) as made:
            made.write_text("ha")
            raise error

    with pytest.raises(type(error)):
        write()
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]


def test_a_block_that_writes_nothing_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text("whole")
    with pytest.raises(FileNotFoundError), atomic_file(file):
        pass
    assert file.read_text() == "whole"


def test_writers_of_one_path_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "network.zip"
    with atomic_file(file) as first:
        with atomic_file(file) as second:
            assert first.suffix == second.suffix == ".zip"
            second.write_text("second")
            first.write_text("first")
        assert file.read_text() == "second"
    assert file.read_text() == "first"


def test_a_durable_file_is_on_the_disk_before_it_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = tmp_path / "weights", list[bool]()
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(file.exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with atomic_file(file, durable=True) as made:
        made.write_bytes(b"weights")
    assert synced == [False]
    write_atomically(file, "weights")
    assert synced == [False]


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path: Path) -> None:
    link, old = tmp_path / "latest", tmp_path / "old"
    old.mkdir()
    link.symlink_to("old")
    with atomic_file(link) as made:
        made.symlink_to("new", target_is_directory=True)
    assert link.readlink() == Path("new")
    assert old.is_dir()
