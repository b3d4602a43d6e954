"""The table's command, and that what it calls ours is what the main job does."""

import json
from pathlib import Path

import pytest

from experiments.record.run_record import RunRecord
from experiments.run import main as run_main
from experiments.stages.network_setup import set_up_network
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from tests.tools.retraining_table import tiny
from tools.retraining_table import command
from tools.retraining_table.data import SHARED_DATA
from tools.retraining_table.trials import Trials, integer_hits
from tools.retraining_table.ways import OURS, ways

SEED = 1


def test_a_table_is_written_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SUBJECTS", (tiny.SUBJECT,))
    file = tmp_path / "table.json"
    arguments = ["--json", str(file), "--networks", "raw", "--bits", "8", "--seeds", "2"]
    assert command.main(arguments) == DONE
    document = json.loads(file.read_text())
    assert document["command"].startswith("python -m tools.retraining_table --json")
    (network,) = document["networks"]
    assert [row["bits"] for row in network["rows"]] == [8]
    assert network["met"] == network["rows"][0]["met"]
    assert len(network["rows"][0]["reached"][OURS]["each"]) == 2
    lines = file.with_suffix(".jsonl").read_text().splitlines()
    assert len(lines) == 5  # float, nearest, compensated, two seeds
    assert document["seconds"] == pytest.approx(
        sum(json.loads(line)["seconds"] for line in lines), abs=0.1
    )
    capsys.readouterr()
    assert command.main([*arguments, "--markdown"]) == DONE
    assert file.with_suffix(".jsonl").read_text().splitlines() == lines
    printed = capsys.readouterr().out
    assert printed.startswith("| network | bits |")
    assert f"\nCommit {document['commits'][0][:10]}; " in printed
    assert "; 2 seeds; " in printed
    assert json.loads(file.read_text())["networks"] == document["networks"]


def test_a_network_without_its_files_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SHARED_DATA, raising=False)
    file = tmp_path / "table.json"
    assert command.main(["--json", str(file), "--networks", "published"]) == USER_MISTAKE
    said = capsys.readouterr()
    assert f"left out, as {SHARED_DATA} does not name" in said.out
    assert "found none" in said.err
    assert not file.exists()


def test_ours_is_what_the_main_job_does(tmp_path: Path) -> None:
    arguments = ["--method", "uniform", "--seed", str(SEED), "--target.runner", "simulated"]
    task = ["--task.name", "own", "--task.model", tiny.SUBJECT.model, "--task.epochs", "0"]
    task += ["--task.data", tiny.SUBJECT.data]
    assert run_main([*arguments, *task, "--output", str(tmp_path), "--quiet"]) == DONE
    evaluations = RunRecord(tmp_path / "latest").evaluations
    with LiveProgress(quiet=True) as progress:
        setup = set_up_network(tiny.SUBJECT.config, progress)
    trials, search = Trials(setup), setup.task.search
    (ours,) = next(way for way in ways(tiny.SUBJECT.rival_batch) if way.name == OURS).variants
    kept = []
    for bits in range(2, 9):
        for evaluation in evaluations:
            if evaluation.allocation == Allocation.uniform(setup.network.layers, bits):
                trial = trials.retrained(bits, ours, SEED)
                right = integer_hits(trial, search)
                assert int(right.sum()) == round(evaluation.score * len(search))
                assert evaluation.retraining is not None
                assert trial.kept == evaluation.retraining.kept
                kept.append(trial.kept)
    assert len(kept) >= 3
    assert "trained" in kept  # else all seeds would be equal
