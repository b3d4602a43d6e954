"""Tables of truth: small, to the bit, and data only."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from experiments.settings.run_config import RunConfig
from experiments.terminal.progress import LiveProgress
from experiments.terminal.typed import typed_as
from experiments.truth.row import ALL_8
from experiments.truth.row_file import read_rows
from experiments.truth.table import TruthTable, read_table
from experiments.truth.world import open_world
from hardware.store import Store
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
    with pytest.raises(
        DataError, match="two rows of every allocation, found fewer of 1 of 6"
    ) as refused:
        table.check()
    assert refused.value.hint == "go on with python -m experiments.tabulate"
    with typed_as("bitalloc compare"), pytest.raises(DataError) as refused:
        table.check()
    assert refused.value.hint == "go on with bitalloc tabulate"
    assert ALL_8 not in range(6)


def changed(tabulated: Path, **arrays: Any) -> TruthTable:
    table = read_table(tabulated / "digits.npz")
    return replace(table, **{name: change(getattr(table, name)) for name, change in arrays.items()})


def test_a_row_that_is_there_twice_is_refused(tabulated: Path) -> None:
    # One of the two would be shown, and the other one would judge it.
    with pytest.raises(DataError, match="one row for an allocation and a seed"):
        changed(tabulated, seed=np.zeros_like).check()


def test_scores_that_are_not_those_of_the_images_are_refused(tabulated: Path) -> None:
    # A search would be shown the images', and judged by the scores.
    with pytest.raises(DataError, match="expected scores of the images that rows are right on"):
        changed(tabulated, score=lambda scores: scores - 0.02).check()


def test_another_network_beside_a_table_is_refused(tabulated: Path, tmp_path: Path) -> None:
    state = load_file(tabulated / "digits.safetensors")
    save_file({**state, "0.weight": state["0.weight"] + 0.01}, tmp_path / "digits.safetensors")
    (tmp_path / "digits.npz").write_bytes((tabulated / "digits.npz").read_bytes())
    with (
        Store(tmp_path / "store.sqlite") as store,
        LiveProgress(quiet=True) as progress,
        pytest.raises(DataError, match="found another network"),
    ):
        open_world(tmp_path / "digits.npz", RunConfig(), store, progress)
