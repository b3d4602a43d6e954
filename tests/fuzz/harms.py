"""What may happen to the files of a folder, for fuzzes: by accident, or by somebody's hand."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

MARK = "executed"
"""A file that code which must not run would write, in the folder's parent."""
MOST_READ = 64 << 20
"""Bytes of a file that a harm reads: what another harm put there may have no end."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 9, 255, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400, 1.5),
    *(1e308, float("inf"), float("nan"), -0.5, "", "int8", "raw", "bits", "winograd", "float32"),
    *("é" * 70, "x" * 1000, "\0", "\ud800", "a\nb", "[bold", "{{ 7 * 7 }}", "<script>", "../../x"),
    *([], [[]], [1], [2**31], [-1], [None], {}, {"a": 1}, {"": {}}, [0] * 1000, ["a"] * 3, "1.5"),
)

Harm = Callable[[Path], None]
"""Changes a folder, whose parent is free for other files."""


class Described:
    """A harm, and what hypothesis shows of it."""

    def __init__(self, kind: str, *facts: object, work: Harm) -> None:
        self.kind, self.facts, self.work = kind, facts, work

    def __repr__(self) -> str:
        return f"{self.kind}{self.facts}"


def apply(harms: Sequence[Described], folder: Path) -> bool:
    """Return whether all harms could be done: the first may take away what the second needs."""
    for harm in harms:
        try:
            harm.work(folder)
        except (OSError, ValueError, RuntimeError):
            return False
    return True


def read(file: Path) -> bytes:
    """Return what is in a regular file."""
    if not file.is_file() or file.stat().st_size > MOST_READ:
        raise FileNotFoundError(file)
    return file.read_bytes()


def flip(data: bytes, share: float, bit: int) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[min(int(share * len(data)), len(data) - 1)] ^= 1 << bit
    return bytes(changed)


def content(name: str, change: Callable[[bytes], bytes], kind: str, *facts: object) -> Described:
    def work(folder: Path) -> None:
        file = folder / name
        file.write_bytes(change(read(file)))

    return Described(kind, name, *facts, work=work)


def link(name: str, kind: str) -> Described:
    """Put something else in a file's place."""

    def work(folder: Path) -> None:
        path, other = folder / name, folder.parent / "other"
        if kind == "same":
            other.write_bytes(read(path))
        elif kind == "another":
            other.write_text("another")
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "huge":
            path.touch()
            os.truncate(path, 1 << 40)  # of zeros, and no room on the disk
        else:
            targets = {"device": "/dev/zero", "itself": path.name, "nowhere": "nowhere"}
            path.symlink_to(targets.get(kind, str(other)))

    return Described("link", name, kind, work=work)


LINKS = ("same", "another", "nowhere", "itself", "device", "pipe", "folder")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a document with each of its keys."""
    entries: list[Any] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inside in entries:
        yield value, key
        yield from places(inside)


def changed_value(document: Any, place: int, value: Any, edit: str) -> Any:
    """Return a document with one of its values replaced, removed, renamed or doubled."""
    found = list(places(document))
    if not found:
        return value
    holder, key = found[place % len(found)]
    if edit == "remove":
        del holder[key]
    elif edit == "rename" and isinstance(holder, dict):
        holder[str(value)[:40]] = holder.pop(key)
    elif edit == "scale" and isinstance(holder[key], int | float):
        holder[key] = holder[key] * 1.5
    else:
        holder[key] = value
    return document


EDITS = ("replace", "replace", "replace", "remove", "rename", "scale")


def json_value(name: str, line: int, place: int, value: Any, edit: str) -> Described:
    """Change a value of a file of JSON, or of one of its lines of JSON."""

    def work(folder: Path) -> None:
        file = folder / name
        text = read(file).decode("utf-8")
        if name.endswith(".jsonl"):
            lines = text.splitlines()
            at = line % len(lines)
            lines[at] = json.dumps(changed_value(json.loads(lines[at]), place, value, edit))
            file.write_text("\n".join(lines) + "\n")
        else:
            file.write_text(json.dumps(changed_value(json.loads(text), place, value, edit)))

    return Described("json", name, line, place, edit, repr(value)[:40], work=work)


def gone(name: str) -> Described:
    return Described("gone", name, work=lambda folder: (folder / name).unlink())


def renamed(name: str, other: str) -> Described:
    """Give one file the content of another."""

    def work(folder: Path) -> None:
        shutil.copyfile(folder / other, folder / name)

    return Described("renamed", name, other, work=work)


def stray(name: str) -> Described:
    """Add Python of somebody else's, which writes `MARK` where it runs."""

    def work(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"open({str(folder.parent / MARK)!r}, 'w').close()\n")

    return Described("stray", name, work=work)


TEXTS: tuple[bytes, ...] = (
    *(b"", b"\0", b"null", b"[]", b"{}", b'"text"', b"1" * 5000, b"NaN", b"{" * 9, b"\xff\xfe"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'"\\ud800"', b"\xef\xbb\xbf{}", b"PK\3\4", b"a\r\nb\r"),
    *(b"cposix\nsystem\n(S'touch executed'\ntR.", b"\x80\x04}.", b"<html>", b"%PDF", b"a: b"),
)


def of_files(names: Sequence[str], json_names: Sequence[str]) -> st.SearchStrategy[Described]:
    """Return harms of some files, among them JSON and lines of JSON."""
    shares, one = st.floats(0, 1), st.sampled_from(list(names))
    values = st.builds(
        json_value,
        st.sampled_from(list(json_names)),
        st.integers(0, 50),
        st.integers(0, 9999),
        st.sampled_from(VALUES),
        st.sampled_from(EDITS),
    )
    return st.one_of(
        st.builds(
            lambda name, share, bit: content(
                name, lambda data: flip(data, share, bit), "flip", share, bit
            ),
            *(one, shares, st.integers(0, 7)),
        ),
        st.builds(
            lambda name, share: content(name, lambda data: data[: int(share * len(data))], "cut"),
            *(one, st.floats(0, 0.999)),
        ),
        st.builds(
            lambda name, more: content(name, lambda data: data + more, "longer", more),
            *(one, st.binary(min_size=1, max_size=9)),
        ),
        st.builds(
            lambda name, text: content(name, lambda data: text, "text", text[:20]),
            *(one, st.sampled_from(TEXTS)),
        ),
        st.builds(gone, one),
        st.builds(renamed, one, one),
        st.builds(link, one, st.sampled_from((*LINKS, "huge"))),
        *(values, values, values, values),
    )
