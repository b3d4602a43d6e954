"""SqliteFile: which SQLite file is ours, and one sentence where it cannot be used."""

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quant.errors import BitAllocError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another's transaction; each takes milliseconds."""
_PAUSE_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class SqliteFile:
    """One file, what it is to people, and what helps where it cannot be used."""

    path: Path
    name: str
    """Such as `result store`."""
    application_id: int
    """Tells our files from other programs' SQLite files."""
    schemas: Collection[int]
    """Those that can be read; the last one is written."""
    error: type[BitAllocError]
    other_place: str
    """What helps where the place is not writable or full."""
    instead: str
    """What helps where the file is none of ours, or damaged."""

    def check(self, connection: sqlite3.Connection) -> int | None:
        """Return the schema of a file, None for one without tables.

        Raises:
            BitAllocError: it is damaged, another program's or another version's.
        """
        (damage,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if damage != "ok":
            raise self.unusable(f"a damaged file ({' '.join(damage.split())})")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if not tables:
            return None
        if application != self.application_id:
            raise self.unusable("a SQLite file of another program")
        if schema not in self.schemas:
            raise self.unusable(f"schema {schema}, written by another version")
        return int(schema)

    def stamp(self) -> str:
        """Return the statements that make a file one of ours."""
        return (
            f"PRAGMA application_id = {self.application_id}; "
            f"PRAGMA user_version = {max(self.schemas)};"
        )

    def unusable(self, found: str) -> BitAllocError:
        """Return the error for a file that is not what it should be."""
        return self.error(
            f"expected a {self.name} of schema {max(self.schemas)}, found {found} at {self.path}",
            self.instead,
        )

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Turn SQLite's and the file system's errors into one sentence that names the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._cannot(f"used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise self.unusable(f"a damaged file ({error})") from error
        except OSError as error:
            raise self._cannot(f"made: {error.strerror}") from error

    def _cannot(self, be: str) -> BitAllocError:
        return self.error(f"the {self.name} {self.path} cannot be {be}", self.other_place)


def write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging; SQLite itself waits for no other that does the same."""
    until_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until_s:
                raise
        time.sleep(_PAUSE_S)
