"""An autoencoder and a segmentation go through every command, with real kernels, too."""

import csv
import json
from pathlib import Path

import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.record.curves import read_curves
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.experiments.export.all_the_way import goes_all_the_way
from tests.experiments.run import own_objectives

OWN = own_objectives.__name__
SHORT = [
    *("--method", "uniform", "--evaluations", "3", "--env.bit-choices", "2", "8", "--quiet"),
    *("--env.finetune.steps", "4", "--env.finetune.compensation-images", "32", "--no-tune"),
    *("--env.finetune.held-back-images", "50", "--final.steps", "8"),
]
SIMULATED = ["--target.runner", "simulated"]
LOCAL = ["--protocol.repeats", "5", "--protocol.min-repeat-ms", "1"]


def asked(model: str, data: str, metric: str, epochs: int) -> list[str]:
    return [
        *("--task.name", "own", "--task.model", f"{OWN}:{model}", "--task.data", f"{OWN}:{data}"),
        *("--task.metric", metric, "--task.epochs", str(epochs)),
    ]


AUTOENCODER = asked("autoencoder", "smaller", "mse", 6)
SEGMENTATION = asked("segmentation", "squares", "miou", 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name", "shown"), [(AUTOENCODER, "MSE", "MSE"), (SEGMENTATION, "mIoU", "mIoU %")]
)
def test_every_table_and_the_page_speak_of_the_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: list[str], name: str, shown: str
) -> None:
    drop = ["--budget.accuracy-drop", "0.05"]
    assert run_module.main([*SHORT, *SIMULATED, *task, *drop, "--output", str(tmp_path)]) == DONE
    folder = tmp_path / "latest"
    assert shown in capsys.readouterr().out
    results = json.loads((folder / "results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert {row["metric"]["name"] for row in rows.values()} == {name}
    worse = rows["uniform 8"]["score"] - rows["best found"]["score"]
    eight = rows["uniform 8"]["score"]
    if name == "MSE":
        assert eight < 0.05  # of a variance of 0.07
        assert "whose MSE is at most 5.13 % above" in results["budget_reason"]
        assert -worse <= 0.0513 * eight
    else:
        assert eight > 0.4  # background alone is 0.26
        assert "loses at most 5 points of uniform 8 bits' mIoU" in results["budget_reason"]
        assert worse <= 0.05
    assert all(row["score_se"] > 0 for row in rows.values())
    curves = read_curves(folder / "tb")
    assert {f"evaluation/{name}", f"best/{name}", f"chosen/{name}"} <= set(curves)
    front = list(csv.DictReader((folder / "pareto.csv").open()))
    assert {row["metric"] for row in front} == {name}
    page = (folder / "report.html").read_text()
    assert f"{name} against latency" in page
    assert f"{name}, search split" in page
    assert "accuracy %" not in page
    assert evaluate_module.main([str(folder), "--quiet"]) == DONE
    assert f"{name} on the test split" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", [AUTOENCODER, SEGMENTATION])
def test_a_bundle_gives_maps_equal_to_the_bit(tmp_path: Path, task: list[str]) -> None:
    runs = tmp_path / "runs"
    budget = ["--budget.latency-ratio", "1.5"]
    assert run_module.main([*SHORT, *LOCAL, *task, *budget, "--output", str(runs)]) == DONE
    evaluations = (runs / "latest" / "evaluations.jsonl").read_text().splitlines()
    assert not any(json.loads(line)["error"] for line in evaluations)
    setup, printed = goes_all_the_way(runs / "latest", tmp_path)
    height, width = setup.task.test.labels.shape[-2:]
    assert f", {height}, {width}) from " in printed.splitlines()[0]
    name = setup.task.objective.metric.name
    assert f"- test {name} " in (tmp_path / "bundle" / "README.md").read_text()


def test_what_does_not_fit_is_told_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = [*asked("segmentation", "smaller", "mse", 100)]
    assert run_module.main([*SHORT, *SIMULATED, *task, "--output", str(tmp_path)]) == USER_MISTAKE
    error = capsys.readouterr().err
    assert error.startswith("error: mse expects targets of floats with the outputs' shape, found")
    assert "hint: choose others with --task.loss and --task.metric" in error
