"""Database: the SQLite file of the service, which several threads and processes may use."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.service.errors import ServiceError
from hardware.closing import Closing
from quant.records.regular_file import check_regular
from quant.records.sqlite_file import BUSY_TIMEOUT_S, SqliteFile, write_ahead

SCHEMA = 1
_APPLICATION_ID = 0x42_41_4C_53  # "BALS": tells our files from other programs' SQLite files

_TABLES = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    of TEXT NOT NULL,
    priority INTEGER NOT NULL,
    wall_s REAL NOT NULL,
    memory_bytes INTEGER NOT NULL,
    evaluations INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    state TEXT NOT NULL,
    health TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    hint TEXT NOT NULL DEFAULT '',
    fault TEXT NOT NULL DEFAULT '',
    cancelled INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    not_before_s REAL NOT NULL DEFAULT 0,
    used_s REAL NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    read_bytes INTEGER NOT NULL DEFAULT 0,
    created_s REAL NOT NULL,
    started_s REAL,
    ended_s REAL
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_by_user ON jobs (user, number);
CREATE TABLE events (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_s REAL NOT NULL,
    kind TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    created_s REAL NOT NULL,
    expires_s REAL,
    revoked_s REAL
);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_s REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    what TEXT NOT NULL
);
CREATE TABLE uploads (
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    suffix TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    user TEXT NOT NULL,
    created_s REAL NOT NULL,
    used_s REAL NOT NULL,
    PRIMARY KEY (kind, digest)
);
CREATE TABLE counters (
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (name, labels)
);
"""


class ServiceStoreError(ServiceError, ValueError):
    """Raised for a store that is damaged, unwritable, foreign or of another version."""

    status = 503


class Database(Closing):
    """One connection for each thread; a write is a transaction that is on disk when it returns.

    Raises:
        ServiceStoreError: the file cannot be opened, is damaged, or is none of ours.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, creating the file where it is missing."""
        self.path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._opening = threading.Lock()
        self._file = SqliteFile(
            path=path,
            name="store of the service",
            application_id=_APPLICATION_ID,
            schemas=(SCHEMA,),
            error=ServiceStoreError,
            other_place="give a writable place with room: --folder FOLDER",
            instead="give another folder, or bring a backup of this one back: --folder FOLDER",
        )
        with self._file.naming_errors():
            if path.exists():
                check_regular(path)
            self._prepare()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return what a SELECT finds."""
        with self._file.naming_errors():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Return the first row that a SELECT finds, None where it finds nothing."""
        return next(iter(self.rows(statement, values)), None)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction, which is undone where the block raises."""
        with self._file.naming_errors():
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close every thread's connection."""
        with self._opening:
            while self._all:
                self._all.pop().close()

    @property
    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA synchronous = FULL")
            self._local.connection = found
            with self._opening:
                self._all.append(found)
        return found

    def _prepare(self) -> None:
        found = self._file.check(self._connection)
        write_ahead(self._connection)
        if found is not None:
            return
        with self.writing() as connection:
            if self._file.check(connection) is not None:  # another one was quicker
                return
            # One by one: `executescript` would end the transaction.
            for statement in filter(str.strip, (_TABLES + self._file.stamp()).split(";")):
                connection.execute(statement)
