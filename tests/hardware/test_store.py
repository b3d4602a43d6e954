import hashlib
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from hardware.store import Store, StoreError, canonical_json
from tests.hardware.store_contract import Reopen, ResultStore, StoreContract


def test_a_result_comes_back_for_exactly_its_key(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("measurement", {"a": 1, "b": [2, 3]}, {"ms": 0.5})
        assert store.get("measurement", {"b": [2, 3], "a": 1}) == {"ms": 0.5}
        assert store.get("measurement", {"a": 1, "b": [2, 4]}) is None
        assert store.get("evaluation", {"a": 1, "b": [2, 3]}) is None


def test_the_digest_is_only_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.store._digest", lambda text: "same")
    with Store(tmp_path / "store.sqlite") as store:
        store.put("measurement", {"a": 1}, {"ms": 1.0})
        store.put("measurement", {"a": 2}, {"ms": 2.0})
        assert store.get("measurement", {"a": 1}) == {"ms": 1.0}
        assert store.get("measurement", {"a": 2}) == {"ms": 2.0}
        assert store.get("measurement", {"a": 3}) is None


def test_results_outlive_the_process(tmp_path: Path) -> None:
    with Store(tmp_path / "deep" / "store.sqlite") as store:
        store.put("evaluation", {"a": 1}, {"accuracy": 0.9})
        store.put("evaluation", {"a": 1}, {"accuracy": 0.1})  # the first one stays
    with Store(tmp_path / "deep" / "store.sqlite") as store:
        assert store.get("evaluation", {"a": 1}) == {"accuracy": 0.9}
        assert store.count("evaluation") == 1


def _write(path: Path, worker: int) -> None:
    with Store(path) as store:
        for number in range(25):
            store.put("measurement", {"worker": worker, "number": number}, {"ms": number})


def test_several_runs_share_one_store(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(path, index)) for index in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with Store(path) as store:
        assert store.count("measurement") == 75


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        for number in range(200):
            store.put("measurement", {"number": number}, {"text": "x" * 100})
    data = bytearray(path.read_bytes())
    data[4096 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged.*store\.sqlite.*mv"):
        Store(path)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 9])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged file .*store\.sqlite"):
        Store(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program"):
        Store(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema 99"):
        Store(path)


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "store.sqlite")


KEY = {"a": 1}
BEFORE = """
    CREATE TABLE results (
        kind TEXT NOT NULL, digest TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL,
        created_s REAL NOT NULL, PRIMARY KEY (kind, digest, key)
    );
    PRAGMA application_id = 1111575619;
    PRAGMA user_version = 1;
"""


def write_document(path: Path, document: object) -> None:
    """Replace the only document, as a flipped bit or another program would."""
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE results SET document = ?", (document,))
    raw.close()


@pytest.mark.parametrize(
    "document", ['{"ms": 0.4}', '{"ms": 0.', "[1]", '{"ms": NaN}', b"\xff\xfe", 3]
)
def test_a_document_that_changed_is_none_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, document: object
) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put("measurement", KEY, {"ms": 0.5})
    write_document(path, document)
    with Store(path) as store:
        assert store.get("measurement", KEY) is None
        assert store.get("measurement", KEY) is None
        store.put("measurement", KEY, {"ms": 0.6})
        assert store.get("measurement", KEY) == {"ms": 0.6}
    (said,) = caplog.messages
    assert str(path) in said


@pytest.mark.parametrize(("document", "found"), [('{"ms": 0.4}', {"ms": 0.4}), ("[1]", None)])
def test_a_store_of_before_is_read_and_gets_checksums(
    tmp_path: Path, document: str, found: dict[str, float] | None
) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as raw:
        raw.executescript(BEFORE)
    raw.close()
    text = canonical_json(KEY)
    with sqlite3.connect(path) as raw:
        row = ("measurement", hashlib.sha256(text.encode()).hexdigest(), text, document, 0.0)
        raw.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?)", row)
    raw.close()
    for _ in range(2):
        with Store(path) as store:
            assert store.get("measurement", KEY) == found
    with Store(path) as store:
        store.put("evaluation", KEY, {"score": 1.0})
    write_document(path, '{"score": 0.0}')
    with Store(path) as store:
        assert store.get("evaluation", KEY) is None


class _Measurements:
    """One kind of a store's results."""

    def __init__(self, store: Store) -> None:
        self.get = partial(store.get, "measurement")
        self.put = partial(store.put, "measurement")


class TestStore(StoreContract):
    keys = ({"a": 1, "b": [2, 3]}, {"a": 1, "b": [2, 4]})
    results = ({"ms": 0.5}, {"ms": 2.0})

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        @contextmanager
        def opened() -> Iterator[ResultStore]:
            with Store(tmp_path / "store.sqlite") as store:
                yield _Measurements(store)

        return opened


def test_numbers_that_are_none_are_not_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("evaluation", {"bits": 4}, {"loss": float("nan")})
        assert store.get("evaluation", {"bits": 4}) is None


def test_what_its_reader_refuses_is_dropped(tmp_path: Path) -> None:
    def refuse(document: object) -> None:
        raise ValueError("no times")

    with Store(tmp_path / "store.sqlite") as store:
        store.put("evaluation", {"bits": 4}, {"times": [0]})
        assert store.read("evaluation", {"bits": 4}, dict) == {"times": [0]}
        assert store.read("evaluation", {"bits": 4}, refuse) is None
        assert store.get("evaluation", {"bits": 4}) is None


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER late AFTER INSERT ON results BEGIN DELETE FROM results; END",
        "ALTER TABLE results RENAME TO real; CREATE VIEW results AS SELECT * FROM real",
        "ALTER TABLE results DROP COLUMN document",
        "CREATE TABLE more (x)",
    ],
)
def test_a_store_is_a_table_and_no_program(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "store.sqlite"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    with pytest.raises(StoreError, match=r"other tables, views or triggers at .*store.sqlite"):
        Store(path)


def test_a_row_that_is_no_text_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put("measurement", {"a": 1}, {"ms": 1.0})
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE results SET document = CAST(x'7bff7d' AS TEXT)")
    connection.close()
    with Store(path) as store:
        assert store.get("measurement", {"a": 1}) is None
        assert store.count("measurement") == 0


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "store.sqlite")
    with pytest.raises(StoreError, match=r"cannot be made: it is no regular file"):
        Store(tmp_path / "store.sqlite")


def test_a_store_that_another_run_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite's own patience does not cover the step to write-ahead logging."""
    path = tmp_path / "store.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    with Store(path) as store:
        store.put("evaluation", {"a": 1}, {"accuracy": 0.9})
        assert store.count("evaluation") == 1
    other.close()
