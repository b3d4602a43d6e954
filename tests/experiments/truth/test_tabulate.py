"""Tabulating: every allocation once for each seed, in parts, and on from where it was stopped."""

from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest

from experiments.tabulate.command import main, part_of
from experiments.tabulate.refinement import refined_seeds
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.truth.row import ALL_8, TruthRow
from experiments.truth.row_file import RowFile, read_rows
from experiments.truth.table import read_table
from hardware.measuring.lock import timing_lock
from tests.experiments.truth.conftest import FLAGS


def test_every_allocation_has_a_row_for_each_seed(tabulated: Path) -> None:
    rows = read_rows([tabulated / "rows.jsonl"])
    assert set(rows.rows) == {(number, seed) for number in range(ALL_8, 6) for seed in (0, 1)}
    assert rows.subject.menus == [[2, 8], [2, 4, 8]]
    for row in rows.rows.values():
        hits = row.hits(rows.subject.images)
        assert len(hits) == 100
        assert abs(float(hits.mean()) - row.score) < 1e-9
        assert len(row.looks) == 2
    # What begins alike was looked at alike: the walk shared it.
    assert rows.rows[0, 0].looks[0] == rows.rows[2, 0].looks[0] != rows.rows[3, 0].looks[0]
    # (8, 8) is all-8, retrained the same way.
    assert rows.rows[5, 0].score == rows.rows[ALL_8, 0].score
    assert rows.rows[5, 0].loss_se == 0.0 < rows.rows[0, 0].loss_se


def test_parts_and_a_stop_in_between_give_the_same_rows(
    tabulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_rows([tabulated / "rows.jsonl"])
    lines = (tabulated / "rows.jsonl").read_text().splitlines(keepends=True)
    for part in ("1", "2"):  # as on another machine, which has no checkpoint of this network
        copyfile(tabulated / "rows.safetensors", tmp_path / f"{part}.safetensors")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "1.jsonl").write_text("".join(lines[:4]) + lines[4][:50])  # killed while writing
    for part in ("1", "2"):
        file = tmp_path / f"{part}.jsonl"
        assert main([*FLAGS, "--rows", str(file), "--part", f"{part}/2"]) == DONE
    found = read_rows([tmp_path / "1.jsonl", tmp_path / "2.jsonl"])
    wanted = {key: row for key, row in whole.rows.items() if key[1] == 0}
    assert found.rows == wanted
    subspace = read_table(tabulated / "digits.npz").subspace
    assert sorted(part_of(subspace, "1/2") + part_of(subspace, "2/2")) == list(range(6))


def test_a_second_seed_alone_gives_what_it_gives_after_a_first(
    tabulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    copyfile(tabulated / "rows.safetensors", tmp_path / "alone.safetensors")
    assert main([*FLAGS, "--rows", str(tmp_path / "alone.jsonl"), "--seeds", "1"]) == DONE
    both = read_rows([tabulated / "rows.jsonl"]).rows
    assert read_rows([tmp_path / "alone.jsonl"]).rows == {
        key: row for key, row in both.items() if key[1] == 1
    }


def test_a_timing_gets_its_turn_between_two_rows(
    tabulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    copyfile(tabulated / "rows.safetensors", tmp_path / "some.safetensors")
    add, rows = RowFile.add, list[int]()

    def add_and_time(file: RowFile, row: TruthRow) -> None:
        with timing_lock():  # an error where this thread holds the lock of trainings
            rows.append(row.number)
        add(file, row)

    monkeypatch.setattr(RowFile, "add", add_and_time)
    assert main([*FLAGS, "--rows", str(tmp_path / "some.jsonl"), "--part", "1/2"]) == DONE
    assert len(rows) > 1


def test_what_decides_gets_more_seeds_and_keeps_its_times(
    tabulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    for name in ("rows.jsonl", "rows.safetensors", "digits.npz"):
        copyfile(tabulated / name, tmp_path / name)
    rows, table = str(tmp_path / "rows.jsonl"), tmp_path / "digits.npz"
    before = read_table(table)
    wanted = refined_seeds(before)
    inside = set(before.inside(0.3).tolist())  # fewer than 30: all of them have eight
    assert inside
    assert wanted[:8] == [(seed, sorted(inside)) for seed in reversed(range(8))]
    assert not any(numbers for _, numbers in wanted[8:])
    assert main([*FLAGS, "--rows", rows, "--refine", str(table)]) == DONE
    assert main([*FLAGS, "--rows", rows, "--table", str(table)]) == DONE
    after = read_table(table)
    assert after.header.times == before.header.times
    assert {n for n, of in after.rows_of.items() if len(of) == 8} == {*inside, ALL_8}
    assert len(after.rows_of[5]) == 2 or 5 in inside


def test_a_table_is_a_shard_as_well(
    tabulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    for name in ("digits.npz", "digits.safetensors"):
        copyfile(tabulated / name, tmp_path / name)
    before = read_table(tmp_path / "digits.npz")
    copyfile(tabulated / "digits.safetensors", tmp_path / "more.safetensors")
    rows = [str(tmp_path / name) for name in ("digits.npz", "more.jsonl")]
    assert main([*FLAGS, "--rows", rows[1], "--seeds", "2"]) == DONE
    assert main([*FLAGS, "--rows", *rows, "--table", rows[0]]) == DONE
    after = read_table(tmp_path / "digits.npz")
    assert len(after.number) == len(before.number) + 7
    kept = after.seed < 2
    for name in ("number", "seed", "score", "loss", "loss_se", "kept", "looks", "right"):
        assert np.array_equal(getattr(after, name)[kept], getattr(before, name))


def test_rows_of_another_configuration_are_refused(
    tabulated: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    rows = str(tabulated / "rows.jsonl")
    other = [*FLAGS, "--rows", rows, "--env.finetune.batch-size", "32"]
    assert main(other) == USER_MISTAKE
    assert (
        "expected rows of this configuration, found those of another env" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--part", "3/2"], "--part: expected N/M as 1/2 or 2/2, found '3/2'"),
        (["--seeds", "-1"], "--images and --seeds: expected 0 or more, found less"),
        (["--rows", "nowhere/rows.jsonl"], "there is no folder nowhere"),
        (["--rows", "a.jsonl", "b.jsonl"], "--rows: expected one file to add to, found 2"),
        (["--env.layers"], "expected at most 20000 allocations to tabulate, found 823543"),
    ],
)
def test_mistakes_are_one_sentence(
    flags: list[str],
    sentence: str,
    tabulated: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main([*FLAGS, *flags]) == USER_MISTAKE
    assert sentence in capsys.readouterr().err
