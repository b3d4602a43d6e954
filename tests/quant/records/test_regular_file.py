import os
from pathlib import Path

import pytest

from quant.records.regular_file import check_regular, read_regular


def test_a_file_is_read_through_a_link_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"text"
    check_regular(tmp_path / "link")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nowhere", "huge"])
def test_what_has_no_end_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        path.touch()
        os.truncate(path, 1 << 40)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(OSError, match=str(path)):
        read_regular(path)
    if kind != "huge":
        with pytest.raises(OSError, match=str(path)):
            check_regular(path)


def test_a_limit_is_of_this_reader(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    assert read_regular(tmp_path / "file", 4) == b"text"
    with pytest.raises(OSError, match="of 4 bytes, and at most 3"):
        read_regular(tmp_path / "file", 3)
