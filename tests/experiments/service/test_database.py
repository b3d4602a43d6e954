"""The service's own file: made once, and named in a sentence where it cannot be used."""

import sqlite3
from pathlib import Path

import pytest

from experiments.service.store.database import Database, ServiceStoreError
from hardware.store import Store


def test_a_file_is_made_once_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "service.sqlite"
    with Database(path) as database, database.writing() as connection:
        connection.execute("INSERT INTO counters VALUES ('a', '{}', 1)")
    with Database(path) as database:
        assert [row["name"] for row in database.rows("SELECT name FROM counters")] == ["a"]
        assert database.row("PRAGMA journal_mode")[0] == "wal"  # type: ignore[index]


def test_what_is_none_of_ours_is_named(tmp_path: Path) -> None:
    path = tmp_path / "service.sqlite"
    Store(path).close()
    with pytest.raises(ServiceStoreError, match=r"another program at .*service\.sqlite"):
        Database(path)
    path.unlink()
    path.write_bytes(b"not a database, but long enough to be read as one" * 9)
    with pytest.raises(ServiceStoreError, match="damaged file"):
        Database(path)
    path.unlink()
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(ServiceStoreError, match="schema 99"):
        Database(path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceStoreError, match="cannot be used"):
        Database(tmp_path / "file" / "service.sqlite")


def test_what_a_block_wrote_before_it_raised_is_undone(tmp_path: Path) -> None:
    with Database(tmp_path / "service.sqlite") as database:
        with pytest.raises(ServiceStoreError, match="no such table"):
            _write_and_fail(database)
        assert database.rows("SELECT * FROM counters") == []


def _write_and_fail(database: Database) -> None:
    with database.writing() as connection:
        connection.execute("INSERT INTO counters VALUES ('a', '{}', 1)")
        connection.execute("INSERT INTO nowhere VALUES (1)")
