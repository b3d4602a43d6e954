"""The digest of sources: what changes it, and what does not."""

from pathlib import Path

import pytest

from quant.records.source_digest import digest_of_folder

SOURCE = '''"""A module."""

LANES = 16
"""Of a vector."""


class Tile:
    """A tile."""

    rows: int = 2
    """Of pixels."""

    def area(self, columns: int) -> int:
        """Return the pixels."""
        name = "vmulps"
        return self.rows * columns + len(name)
'''


def _digest(folder: Path, source: str = SOURCE) -> str:
    (folder / "kernel.py").write_text(source)
    return digest_of_folder(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LANES = 16\n", "# How many.\nLANES = 16  # of them\n"),
        ('"""A module."""\n', ""),
        ('"""A module."""', '"""Another module."""'),
        ('"""Of a vector."""\n', ""),
        ('"""Of pixels."""', "'''Of an image's pixels.'''"),
        ('    """A tile."""\n', ""),
        ('        """Return the pixels."""\n', ""),
        ("self.rows * columns + len(name)", "(\n            self.rows*columns\n + len( name ))"),
        ('"vmulps"', "'vmulps'"),
        ("16", "0x10"),
    ],
)
def test_what_no_kernel_can_notice_changes_nothing(old: str, new: str, tmp_path: Path) -> None:
    assert old in SOURCE
    assert _digest(tmp_path, SOURCE.replace(old, new)) == _digest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("16", "17"),
        ("16", "16.0"),
        ('"vmulps"', '"vaddps"'),
        ("columns", "width"),
        ("LANES", "WIDTH"),
        ("self.rows * columns + len(name)", "self.rows * (columns + len(name))"),
        ("    rows: int = 2\n", ""),
    ],
)
def test_another_program_has_another_digest(old: str, new: str, tmp_path: Path) -> None:
    assert old in SOURCE
    assert _digest(tmp_path, SOURCE.replace(old, new)) != _digest(tmp_path)


def test_files_count_by_their_places_in_the_folder(tmp_path: Path) -> None:
    first = _digest(tmp_path)
    new = tmp_path / "families" / "new.py"
    new.parent.mkdir()
    new.write_text("")
    with_new = digest_of_folder(tmp_path)
    assert with_new != first
    new.rename(tmp_path / "new.py")
    moved = digest_of_folder(tmp_path)
    assert moved not in (first, with_new)
    (tmp_path / "new.py").rename(tmp_path / "newer.py")
    assert digest_of_folder(tmp_path) not in (first, with_new, moved)
    (tmp_path / "newer.py").rename(tmp_path / "notes.txt")
    assert digest_of_folder(tmp_path) == first


def test_the_folder_itself_may_be_anywhere(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        digests.add(_digest(tmp_path / name))
    assert len(digests) == 1
