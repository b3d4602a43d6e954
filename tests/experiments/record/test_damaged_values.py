"""Values of another kind, and files that are none: damage that is told, never waited for."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import RunFolderError
from experiments.record import files
from experiments.report import command as report_module
from experiments.stages.resume import read_resumed
from experiments.terminal.exit_codes import USER_MISTAKE
from quant.layers import LayerSpec
from tests.experiments.run_folders import make_run

Edit = Callable[[Any], object]


@pytest.mark.parametrize("name", [files.CONFIG, files.RESULTS, files.EVALUATIONS, files.TABLE])
def test_a_page_waits_for_no_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = make_run(tmp_path).path
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert report_module.main([str(folder)]) == USER_MISTAKE
    assert str(folder) in capsys.readouterr().err


def test_an_event_file_that_is_a_pipe_is_none(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    os.mkfifo(folder.events / "events.out.tfevents.9.pipe")
    assert folder.record.curves


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (files.RESULTS, lambda document: document["rows"][1].update(latency_ms="fast")),
        (files.RESULTS, lambda document: document["rows"][1].update(latency_iqr_ms=None)),
        (files.RESULTS, lambda document: document["rows"][1].pop("score_se")),
        (files.RESULTS, lambda document: document["rows"].clear()),
        (files.RESULTS, lambda document: document["best"].pop("evaluation")),
        (files.RESULTS, lambda document: document.update(seconds=None)),
        (files.BUDGET, lambda document: document.update(reason=1)),
        (files.BUDGET, lambda document: document.update(latency_shares={"3000": 0.5})),
        (files.BUDGET, lambda document: document.update(latency_shares={"8": -1.0})),
        (files.ENVIRONMENT, lambda document: document.update(device="cpu")),
        (files.ENVIRONMENT, lambda document: document.update(packages=3)),
        (files.TABLE, lambda document: document["layers"]["first"].update({"8/8": "a"})),
    ],
)
def test_a_value_of_another_kind_is_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, edit: Edit
) -> None:
    folder = make_run(tmp_path).path
    document = json.loads((folder / name).read_text())
    edit(document)
    (folder / name).write_text(json.dumps(document))
    assert report_module.main([str(folder)]) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert f"{folder / name}: a file of the run is damaged" in printed
    assert "Traceback" not in printed


def test_evaluations_of_two_networks_are_damage(tmp_path: Path) -> None:
    run, other = make_run(tmp_path / "a"), make_run(tmp_path / "b", layers=("one", "two", "three"))
    with (run.path / files.EVALUATIONS).open("ab") as file:
        file.write((other.path / files.EVALUATIONS).read_bytes())
    with pytest.raises(RunFolderError, match="of one network"):
        _ = run.record.evaluations


def test_a_chosen_allocation_names_its_file(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with pytest.raises(RunFolderError, match=r"the chosen allocation in .*best_alloc"):
        run.record.chosen([])
    run.write_json(files.BEST_ALLOCATION, run.record.best)
    with pytest.raises(RunFolderError, match=r"best_allocation.json: the network has no layer"):
        run.record.chosen(list[LayerSpec]())
    (run.path / files.BEST_ALLOCATION).write_text('{"schema": 1}')
    with pytest.raises(RunFolderError, match=r"best_allocation.json: a file of the run is damaged"):
        run.record.chosen([])


def test_a_table_without_what_was_evaluated_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path).path
    document = json.loads((folder / files.TABLE).read_text())
    del document["layers"]["second"]["2/8"]
    (folder / files.TABLE).write_text(json.dumps(document))
    with pytest.raises(RunFolderError, match=r"expected second at 2/8 bits in .*layer_table.json"):
        read_resumed(folder)


def test_a_long_value_is_not_quoted_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.write_json(files.BEST_ALLOCATION, {"schema": [0] * 1000, "layers": {}})
    with pytest.raises(RunFolderError) as raised:
        _ = run.record.best_allocation
    assert len(raised.value.message) < 400 + len(str(run.path))
