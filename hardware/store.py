"""Store: one SQLite file of results, found by their whole key, shared by several runs."""

import hashlib
import json
import logging
import shlex
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from hardware.closing import Closing
from quant.errors import BitAllocError
from quant.records.regular_file import check_regular
from quant.records.sqlite_file import BUSY_TIMEOUT_S, SqliteFile, write_ahead
from quant.records.strict_json import parse_json

T = TypeVar("T")

STORE_SCHEMA = 2
"""1 had no checksums; such a file is read, and gets them for what is added."""
_APPLICATION_ID = 0x42_41_4C_43  # "BALC": tells our files from other programs' SQLite files

_COLUMNS = {
    1: [("results", name) for name in ("kind", "digest", "key", "document", "created_s")],
    STORE_SCHEMA: [
        ("results", name) for name in ("kind", "digest", "key", "document", "created_s", "checksum")
    ],
}
_ROW = "kind = ? AND digest = ? AND key = ?"
_logger = logging.getLogger(__name__)

ResultKind = Literal[
    "measurement",
    "evaluation",
    "image-scores",
    "look-losses",
    "layer-table",
    "sensitivity",
    "ruler",
]


class StoreError(BitAllocError, ValueError):
    """Raised for a store that is damaged, unwritable, foreign or of a newer version."""


def canonical_json(document: Mapping[str, Any]) -> str:
    """Return one text for one document: sorted keys, no spaces, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Store(Closing):
    """Results by kind and key. The digest is an index; the whole key is compared on a hit.

    A document that is not as it was written is none: it is dropped, and measured again.

    Write-ahead logging lets any number of runs read while one writes. A row is on disk when `put`
    returns (`synchronous=FULL`): a killed process and a lost mains supply keep it.

    Raises:
        StoreError: the file cannot be opened, is damaged, is not a store, or is a newer one.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, creating the file and its folder when they are missing."""
        self.path = path
        self._has_dropped = False
        self._file = SqliteFile(
            path=path,
            name="result store",
            application_id=_APPLICATION_ID,
            schemas=tuple(_COLUMNS),
            error=StoreError,
            other_place="give a writable place with room: --store PATH",
            instead="move it away, and a new one is made: "
            + shlex.join(["mv", str(path), f"{path}.old"]),
        )
        with self._file.naming_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                check_regular(path)  # SQLite would wait for a pipe
            # Autocommit: each statement is a transaction, so nothing is ever left half written.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            # What is no UTF-8 any more is a damaged row, as any other that its checksum tells.
            self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def get(self, kind: ResultKind, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the document stored under exactly this key, or None."""
        text = canonical_json(key)
        row = (kind, _digest(text), text)
        with self._file.naming_errors():
            found = self._connection.execute(
                f"SELECT document, checksum FROM results WHERE {_ROW}", row
            ).fetchone()
        if found is None:
            return None
        document = _whole(kind, text, *found)
        if document is None:
            self._drop(row)
        return document

    def read(
        self, kind: ResultKind, key: Mapping[str, Any], form: Callable[[dict[str, Any]], T]
    ) -> T | None:
        """Return what `form` makes of the document under this key, or None.

        A document that `form` refuses with ValueError, such as one of times that are no numbers, is
        dropped as a damaged one is.
        """
        document = self.get(kind, key)
        if document is None:
            return None
        try:
            return form(document)
        except ValueError:
            text = canonical_json(key)
            self._drop((kind, _digest(text), text))
            return None

    def put(self, kind: ResultKind, key: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Store a document; the first one under a key stays, since both are true.

        One with a number that is none (NaN, infinity) is not kept: nobody could read it.
        """
        self._insert("IGNORE", kind, key, document)

    def replace(
        self, kind: ResultKind, key: Mapping[str, Any], document: Mapping[str, Any]
    ) -> None:
        """Store a document in place of the one under its key: what is true changes with time."""
        self._insert("REPLACE", kind, key, document)

    def count(self, kind: ResultKind) -> int:
        """Return how many results of a kind the store holds."""
        with self._file.naming_errors():
            row = self._connection.execute(
                "SELECT count(*) FROM results WHERE kind = ?", (kind,)
            ).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def _prepare(self) -> None:
        execute = self._connection.execute
        schema = self._file.check(self._connection)
        if schema is not None and _form(execute) != _COLUMNS[schema]:
            raise self._file.unusable("other tables, views or triggers")
        write_ahead(self._connection)
        execute("PRAGMA synchronous = FULL")
        if schema is None:
            self._create()
        elif schema == 1:
            self._add_checksums()

    def _insert(
        self,
        otherwise: Literal["IGNORE", "REPLACE"],
        kind: ResultKind,
        key: Mapping[str, Any],
        document: Mapping[str, Any],
    ) -> None:
        try:
            text, written = canonical_json(key), json.dumps(document, allow_nan=False)
        except ValueError:
            return
        checksum = _checksum(kind, text, written)
        with self._file.naming_errors():
            self._connection.execute(
                f"INSERT OR {otherwise} INTO results VALUES (?, ?, ?, ?, ?, ?)",
                (kind, _digest(text), text, written, time.time(), checksum),
            )

    def _drop(self, row: tuple[str, str, str]) -> None:
        """Forget a damaged row, and say so at the first."""
        with self._file.naming_errors():
            self._connection.execute(f"DELETE FROM results WHERE {_ROW}", row)
        if not self._has_dropped:
            self._has_dropped = True
            _logger.warning(
                "%s holds results that are not as they were written: each is dropped where it is "
                "met, and measured again",
                self.path,
            )

    def _add_checksums(self) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")  # another run may be about to do the same
        try:
            if execute("PRAGMA user_version").fetchone() == (1,):
                execute("ALTER TABLE results ADD COLUMN checksum TEXT")
                execute(f"PRAGMA user_version = {STORE_SCHEMA}")
        finally:
            execute("COMMIT")

    def _create(self) -> None:
        # One transaction, so that two runs that start together make one store.
        self._connection.executescript(
            f"""
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS results (
                kind TEXT NOT NULL,
                digest TEXT NOT NULL,
                key TEXT NOT NULL,
                document TEXT NOT NULL,
                created_s REAL NOT NULL,
                checksum TEXT,
                PRIMARY KEY (kind, digest, key)
            );
            {self._file.stamp()}
            COMMIT;
            """
        )


def _form(execute: Callable[..., sqlite3.Cursor]) -> list[tuple[str, str]]:
    """Return tables by column, and what is a program, views and triggers, by its kind."""
    found: list[tuple[str, str]] = []
    for kind, name in execute(
        "SELECT type, name FROM sqlite_master WHERE type <> 'index' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        if kind == "table":
            columns = execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
            found += [(name, column) for (column,) in columns]
        else:
            found.append((kind, name))
    return found


def _checksum(kind: str, key: str, document: str) -> str:
    return _digest("\n".join((kind, key, document)))


def _whole(kind: str, key: str, written: Any, checksum: str | None) -> dict[str, Any] | None:
    """Return a document that is as it was written, None for others.

    Of those that older versions wrote, without a checksum, all that can be seen is whether they are
    documents.
    """
    try:
        if checksum is not None and checksum != _checksum(kind, key, written):
            return None
        document = parse_json(written)
    except (TypeError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
