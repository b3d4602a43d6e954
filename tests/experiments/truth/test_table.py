"""Tables of truth: small, to the bit, and data only."""

from pathlib import Path

import numpy as np
import pytest

from experiments.truth.row import ALL_8
from experiments.truth.row_file import read_rows
from experiments.truth.table import read_table
from quant.errors import DataError


def test_a_table_holds_what_the_rows_held(tabulated: Path) -> None:
    rows, table = read_rows([tabulated / "rows.jsonl"]), read_table(tabulated / "digits.npz")
    assert len(table.number) == len(rows.rows)
    for position, key in enumerate(zip(table.number.tolist(), table.seed.tolist(), strict=True)):
        row = rows.rows[key]
        assert (table.hits(position) == row.hits(100)).all()
        assert table.score[position] == pytest.approx(row.score, abs=1e-7)
        assert table.looks[position] == pytest.approx(row.looks, abs=1e-6)
    assert table.header.subject == rows.subject
    assert table.subspace.bits(4) == (8, 4)
    assert table.subspace.number((8, 4)) == 4
    assert list(table.subspace.numbers((8,))) == [3, 4, 5]
    assert table.predicted_ms[0] < table.predicted_ms[5]
    assert (tabulated / "digits.safetensors").exists()


def test_a_truncated_or_foreign_file_is_one_sentence(tabulated: Path, tmp_path: Path) -> None:
    content = (tabulated / "digits.npz").read_bytes()
    for name, harmed in (("cut", content[: len(content) // 2]), ("text", b"no table"), ("", b"")):
        (tmp_path / f"{name}.npz").write_bytes(harmed)
        with pytest.raises(
            DataError, match=r"expected a table of truth at .*, found something else"
        ):
            read_table(tmp_path / f"{name}.npz")
    with pytest.raises(DataError, match="expected a table of truth at"):
        read_table(tmp_path / "nothing.npz")


def test_objects_in_a_table_are_never_unpickled(tabulated: Path, tmp_path: Path) -> None:
    with np.load(tabulated / "digits.npz") as arrays:
        harmed = dict(arrays)
    harmed["score"] = np.array([{"a": 1}] * len(harmed["score"]), dtype=object)
    np.savez(tmp_path / "harmed.npz", **harmed)
    with pytest.raises(DataError, match="allow_pickle"):
        read_table(tmp_path / "harmed.npz")


def test_a_table_without_a_second_row_is_refused(tabulated: Path) -> None:
    table = read_table(tabulated / "digits.npz")
    table.check()
    kept = ~((table.number == 3) & (table.seed == 1))
    fields = ("number", "seed", "score", "loss", "loss_se", "kept", "looks", "right")
    for name in fields:
        object.__setattr__(table, name, getattr(table, name)[kept])
    table.__dict__.pop("rows_of")
    with pytest.raises(DataError, match="two rows of every allocation, found fewer of 1 of 6"):
        table.check()
    assert ALL_8 not in range(6)
