"""Tables, contests and comparisons by workers of a Ray cluster: what one process comes to."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import torch

from experiments.compare import command as compare_module
from experiments.tabulate.command import main as tabulate
from experiments.tabulate.tabulator import parts_of
from experiments.terminal.exit_codes import DONE
from experiments.truth.row_file import read_rows
from experiments.truth.table import read_table
from tests.experiments.truth.conftest import FLAGS

_TWO = ("--train.ray", "auto", "--train.workers", "2")
_CONTEST = (
    *("--methods", "uniform", "random", "evolution", "--budgets", "0.5", "--seeds", "2"),
    *("--at", "0", "4", "--quiet"),
)
_COMPARISON = (
    *("--methods", "uniform", "random", "--budgets", "0.35", "0.7", "--seeds", "1"),
    *("--evaluations", "4", "--target.runner", "simulated", "--quiet", "--train.proposals", "2"),
    *("--env.finetune.compensation-images", "32", "--env.finetune.held-back-images", "50"),
    *("--env.finetune.steps", "2", "--final.steps", "4", "--env.bit-choices", "2", "4", "8"),
)


@pytest.fixture
def one_thread(tabulated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_parts_are_allocations_that_begin_alike(tabulated: Path) -> None:
    subspace = read_table(tabulated / "digits.npz").subspace
    assert list(parts_of(subspace, [0, 2, 5])) == [[0], [2], [5]]
    assert list(parts_of(subspace, [])) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_tabulate_what_one_process_does(
    tabulated: Path, tmp_path: Path, one_thread: None
) -> None:
    rows = tmp_path / "rows.jsonl"
    copyfile(tabulated / "rows.safetensors", tmp_path / "rows.safetensors")
    first = (tabulated / "rows.jsonl").read_text().splitlines(keepends=True)[:4]
    rows.write_text("".join(first))  # two rows: they are not made again
    assert tabulate([*FLAGS, *_TWO, "--rows", str(rows), "--seeds", "0", "1"]) == DONE
    found, alone = read_rows([rows]), read_rows([tabulated / "rows.jsonl"])
    assert found == alone
    assert len(rows.read_text().splitlines()) == 2 + len(alone.rows), "a row was made twice"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_play_what_one_process_does(
    tabulated: Path, tmp_path: Path, one_thread: None
) -> None:
    outcomes = []
    for name, flags in (("alone", ()), ("together", _TWO)):
        output = ["--truth", str(tabulated / "digits.npz"), "--output", str(tmp_path / name)]
        assert compare_module.main([*_CONTEST, *flags, *output]) == DONE
        outcomes.append((tmp_path / name / "outcomes.jsonl").read_text())
    assert outcomes[0] == outcomes[1]
    # A folder that one process began goes on by workers, and has nothing left to do.
    output = ["--truth", str(tabulated / "digits.npz"), "--output", str(tmp_path / "alone")]
    assert compare_module.main([*_CONTEST, *_TWO, *output]) == DONE


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_compare_what_one_process_does(tmp_path: Path, one_thread: None) -> None:
    found: list[list[dict[str, Any]]] = []
    for name, flags in (("alone", ()), ("together", _TWO)):
        folder = tmp_path / name
        assert compare_module.main([*_COMPARISON, *flags, "--output", str(folder)]) == DONE
        lines = (folder / "rows.jsonl").read_text().splitlines()
        found.append([_without_times(json.loads(line)) for line in lines])
    assert found[0] == found[1]
    assert compare_module.main([*_COMPARISON, "--output", str(tmp_path / "together")]) == DONE


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.endswith("_s")}
