"""RowFile: rows of one subject on the disk, a line each; shards are files of the same subject."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from experiments.truth.row import TruthRow
from experiments.truth.subject import TruthSource, TruthSubject
from quant.records.json_form import from_plain
from quant.records.regular_file import read_regular

_SUBJECT, _SOURCE = "subject", "source"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What files of one subject hold."""

    subject: TruthSubject
    sources: list[TruthSource] = field(default_factory=list)
    rows: dict[tuple[int, int], TruthRow] = field(default_factory=dict)
    """By (number, seed); of two alike the first."""


class RowFile:
    """One file that grows by a row at a time."""

    def __init__(self, path: Path, subject: TruthSubject, source: TruthSource | None) -> None:
        """Open a file, made where there is none.

        Args:
            path: Of the file.
            subject: What decides its rows.
            source: On what the next rows are made; None where `note` says it.

        Raises:
            RunFolderError: it holds rows of another subject, or something else.
        """
        self._path = path
        cut_torn_line(path)
        if not path.exists() or not path.stat().st_size:
            append_line(path, {_SUBJECT: subject})
        self.rows = read_rows([path])
        check_subject(self.rows.subject, subject, str(path))
        if source is not None:
            self.note(source)

    def note(self, source: TruthSource) -> None:
        """Keep on what the next rows were made, where that is not known yet."""
        if source not in self.rows.sources:
            append_line(self._path, {_SOURCE: source})
            self.rows.sources.append(source)

    def add(self, row: TruthRow) -> None:
        """Keep a row; it is on the disk before this returns.

        Raises:
            RunFolderError: the disk does not take it.
        """
        append_line(self._path, row)
        self.rows.rows[row.number, row.seed] = row


def read_rows(paths: Sequence[Path]) -> Rows:
    """Read files of one subject.

    Raises:
        RunFolderError: a file is missing, damaged, or of another subject than the first.
    """
    found: Rows | None = None
    for path in paths:
        for number, document in _documents(path):
            try:
                if _SUBJECT in document:
                    subject = from_plain(TruthSubject, document[_SUBJECT])
                    found = found or Rows(subject=subject)
                    check_subject(subject, found.subject, str(path))
                elif found is None:
                    raise ValueError("rows before their subject")
                elif _SOURCE in document:
                    source = from_plain(TruthSource, document[_SOURCE])
                    if source not in found.sources:
                        found.sources.append(source)
                else:
                    row = from_plain(TruthRow, document)
                    row.hits(found.subject.images)
                    found.rows.setdefault((row.number, row.seed), row)
            except ValueError as error:
                raise RunFolderError(
                    f"expected a row of truth in line {number} of {path}, found something else: "
                    f"{error}",
                    "name a file that experiments.tabulate wrote",
                ) from None
    if found is None:
        raise RunFolderError(f"expected rows of truth, found none in {', '.join(map(str, paths))}")
    return found


def check_subject(found: TruthSubject, wanted: TruthSubject, where: str) -> None:
    """Refuse rows that something else decided.

    Raises:
        RunFolderError: names the first difference.
    """
    if found != wanted:
        raise RunFolderError(
            f"{where}: expected rows of this configuration, found those of another "
            f"{_difference(found, wanted)}",
            "name another file with --rows, or the configuration of these rows",
        )


def _documents(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        lines = whole_lines(read_regular(path))
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
        except ValueError as error:
            raise RunFolderError(f"expected JSON in line {number} of {path}: {error}") from None
        if not isinstance(document, dict):
            raise RunFolderError(f"expected a mapping in line {number} of {path}")
        yield number, document


def _difference(known: TruthSubject, found: TruthSubject) -> str:
    """Name the first field in which two subjects differ."""
    for name in TruthSubject.__dataclass_fields__:
        if getattr(known, name) != getattr(found, name):
            return name
    return ""
