"""Stores, whatever happened to their bytes and rows: no result but those that were written."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import strategies as st

from experiments.terminal.exit_codes import DONE, USER_MISTAKE, run_command
from hardware.store import ResultKind, Store
from tests.fuzz import watch
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.harms import VALUES, Described, apply, of_files, read

NAME = "store.sqlite"
BESIDE = (f"{NAME}-wal", f"{NAME}-journal", f"{NAME}-shm")
COLUMNS = ("kind", "digest", "key", "document", "created_s", "checksum")
SQL = (
    "DROP TABLE results",
    "DELETE FROM results",
    "ALTER TABLE results DROP COLUMN checksum",
    "ALTER TABLE results RENAME COLUMN document TO other",
    "CREATE TABLE more (x)",
    "CREATE INDEX found ON results (document)",
    "CREATE TRIGGER late AFTER INSERT ON results BEGIN DELETE FROM results; END",
    "ALTER TABLE results RENAME TO real; CREATE VIEW results AS SELECT * FROM real",
    "ALTER TABLE results RENAME TO real; CREATE VIEW results AS WITH RECURSIVE c(x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'measurement' AS kind, '' AS digest, "
    "'' AS key, '{}' AS document, x AS created_s, NULL AS checksum FROM c",
    "PRAGMA user_version = 1",
    "PRAGMA user_version = 3",
    "PRAGMA application_id = 7",
    "PRAGMA journal_mode = DELETE",
)


class Row(NamedTuple):
    kind: ResultKind
    key: dict[str, Any]
    document: dict[str, Any]


ROWS = [
    *(
        Row("measurement", {"n": n}, {"values_ms": [0.1 * n + 0.01 * m for m in range(9)]})
        for n in range(1, 9)
    ),
    *(Row("image-scores", {"n": n}, {"right": "ab" * 900, "n": n}) for n in range(3)),
    Row("layer-table", {"tiles": ""}, {"layers": {"a": {"8/8": 1.5, "4/4": 0.75}}}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / NAME
    with Store(path) as made:
        for row in ROWS:
            made.put(*row)
    return path


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with watch.bounded_memory():
        yield


def _look(path: Path, unchecked: set[int]) -> int:
    """Look everything up; `unchecked` rows have no checksum any more, as those of before."""
    with Store(path) as opened:
        for place, row in enumerate(ROWS):
            found = opened.get(row.kind, row.key)
            assert place in unchecked or found in (None, row.document), (row, found)
            if found is None:
                opened.put(*row)
        opened.count("measurement")
    return DONE


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a store that may be harmed already."""
    read(folder / NAME)
    try:
        with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as opened:
            yield opened
    except (sqlite3.Error, UnicodeError) as error:
        raise ValueError(str(error)) from None


def _cell(column: str, place: int, value: Any) -> Described:
    def work(folder: Path) -> None:
        text = value if isinstance(value, bytes | str | None) else json.dumps(value)
        number = place % len(ROWS) + 1
        with _opened(folder) as opened:
            opened.execute(f"UPDATE results SET {column} = ? WHERE rowid = ?", (text, number))

    return Described("cell", column, place, value, work=work)


def _number(place: int) -> Described:
    """Change one number of a document, and leave its checksum."""

    def work(folder: Path) -> None:
        with _opened(folder) as opened:
            opened.execute(
                "UPDATE results SET document = replace(document, '1', '7') WHERE rowid = ?",
                (place % len(ROWS) + 1,),
            )

    return Described("number", place, work=work)


def _sql(text: str) -> Described:
    def work(folder: Path) -> None:
        with _opened(folder) as opened:
            opened.executescript(text)

    return Described("sql", text, work=work)


def _beside(name: str, content: bytes) -> Described:
    def work(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return Described("beside", name, content[:9], work=work)


HARMS = st.one_of(
    of_files([NAME], [NAME]),
    st.builds(_cell, st.sampled_from(COLUMNS), st.integers(0, 50), st.sampled_from(VALUES)),
    st.builds(_cell, st.sampled_from(COLUMNS), st.integers(0, 50), st.binary(max_size=9)),
    st.builds(_number, st.integers(0, 50)),
    st.builds(_sql, st.sampled_from(SQL)),
    st.builds(_beside, st.sampled_from(BESIDE), st.binary(max_size=4096)),
)


def _unchecked(harms: Sequence[Described]) -> set[int]:
    every = set(range(len(ROWS)))
    places: set[int] = set()
    for harm in harms:
        if harm.kind == "cell" and harm.facts[0] == "checksum" and harm.facts[2] is None:
            places.add(cast(int, harm.facts[1]) % len(ROWS))
        if harm.kind == "sql" and ("COLUMN" in str(harm.facts[0]) or "= 1" in str(harm.facts[0])):
            places |= every
    return places


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmed_store_gives_what_was_written_or_nothing(store: Path) -> None:
    content = store.read_bytes()

    def check(harms: Sequence[Described], empty: Path) -> object:
        folder = empty / "store"
        folder.mkdir()
        path = folder / NAME
        path.write_bytes(content)
        if not apply(harms, folder):
            return None
        command: Callable[[], int] = lambda: run_command(  # noqa: E731
            lambda: _look(path, _unchecked(harms))
        )
        answer = watch.ask(command, folder)
        watch.check(answer, str(path))
        return answer.code

    counts = try_cases(HARMS, check, store.parent)
    assert min(counts[DONE], counts[USER_MISTAKE]) > CASES // 20


def test_a_number_that_was_changed_is_dropped(store: Path, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(store.read_bytes())
    assert apply([_number(0)], tmp_path)
    with Store(path) as opened:
        assert opened.get(ROWS[0].kind, ROWS[0].key) is None
        assert opened.get(ROWS[1].kind, ROWS[1].key) == ROWS[1].document
