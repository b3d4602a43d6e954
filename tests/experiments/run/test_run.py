"""The main job from end to end, on the simulated device and with very little training."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.record.curves import read_curves
from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, INTERRUPTED, USER_MISTAKE
from hardware.errors import HardwareLostError
from quant.allocation import Allocation
from tests.experiments.record.test_hparams import tags_by_file
from tests.experiments.run_folders import image_tags

LIMIT = 6
SMALL = f"""
evaluations: {LIMIT}
quiet: true
target: {{runner: simulated}}
protocol: {{warmups: 0, repeats: 5}}
env: {{bit_choices: [2, 4, 8], calibration_images: 64,
      finetune: {{steps: 2, compensation_images: 32, held_back_images: 50}}}}
ppo: {{policy: run, posterior: false, race: 0,
      warm_up_episodes: 32, practice_episodes: 8, final_evaluations: 1, rollout_episodes: 16}}
final: {{steps: 3}}
"""
FILES = (
    *("config.yaml", "command.txt", "environment.json", "evaluations.jsonl", "layer_table.json"),
    *("sensitivities.json", "best_allocation.json", "pareto.csv", "results.json", "results.csv"),
    *("run.log", "report.html"),
)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file = tmp_path_factory.mktemp("config") / "small.yaml"
    file.write_text(SMALL)
    return ["--config", str(file), "--output", str(tmp_path_factory.mktemp("runs"))]


@pytest.fixture(scope="module")
def finished(arguments: list[str]) -> Path:
    assert run_module.main(arguments) == DONE
    return (Path(arguments[-1]) / "latest").resolve()


@pytest.fixture(scope="module")
def lines(finished: Path) -> list[dict[str, object]]:
    text = (finished / "evaluations.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_the_folder_holds_every_file(finished: Path) -> None:
    for name in FILES:
        assert (finished / name).stat().st_size > 0, name
    assert (finished / "command.txt").read_text().startswith("python -m experiments.run --config")
    assert json.loads((finished / "environment.json").read_text())["device"]["cpu"] == "simulated"


def test_the_evaluation_limit_is_kept_and_every_repeat_is_written(
    lines: list[dict[str, object]],
) -> None:
    searched = [line for line in lines if line["proposer"] != "table"]
    assert len(searched) <= LIMIT
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert lines[0]["proposer"] == "reference"
    assert {"uniform", "ppo"} <= {str(line["proposer"]) for line in lines}
    for line in lines:
        measurement = line["measurement"]
        assert isinstance(measurement, dict)
        assert measurement["source"] == "simulated"
        assert len(measurement["values_ms"]) == 5


def test_the_best_is_inside_its_budget_and_no_uniform_inside_is_better(
    finished: Path,
) -> None:
    results = json.loads((finished / "results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == ["float", "uniform 8", "uniform 4", "best found"]
    best, limit_ms = rows["best found"], results["budget"]["latency_ms"]
    assert best["latency_ms"] <= 1.02 * limit_ms
    assert rows["uniform 8"]["inside_budget"] is False
    for name in ("uniform 8", "uniform 4"):
        assert best["score"] >= rows[name]["score"] or not rows[name]["inside_budget"]
    assert best["source"] == "simulated"
    with (finished / "results.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == list(rows)


def test_that_all_8_is_outside_the_budget_is_no_news(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    missed = [item["allocation"]["layers"].values() for item in results["missed_the_budget"]]
    assert any(all(pair["weight_bits"] == 8 for pair in pairs) for pairs in missed)
    proposed = [pairs for pairs in missed if len({pair["weight_bits"] for pair in pairs}) > 1]
    said = (finished / "run.log").read_text().count("passed over")
    assert said <= len(proposed)


def test_the_search_is_accounted_for(finished: Path, lines: list[dict[str, Any]]) -> None:
    used = json.loads((finished / "results.json").read_text())["accounting"]
    searched = [line for line in lines if line["proposer"] != "table"]
    assert used["evaluations"] == len(searched)
    assert used["training_samples"] == sum(line["training_samples"] for line in searched) > 0
    assert used["device_s"] > 0
    assert 0 < used["wall_s"] < 600


def test_the_best_allocation_is_one_that_was_evaluated(
    finished: Path, lines: list[dict[str, object]]
) -> None:
    best = Allocation.from_dict(json.loads((finished / "best_allocation.json").read_text()))
    assert best in {Allocation.from_dict(line["allocation"]) for line in lines}


def test_events_are_finite_and_hold_sb3_tags_and_ours(
    finished: Path, lines: list[dict[str, object]]
) -> None:
    curves = read_curves(finished / "tb")
    assert all(np.isfinite(curve.values).all() for curve in curves.values())
    ours = (
        *("evaluation/accuracy", "evaluation/latency_ms", "evaluation/mean_weight_bits"),
        *("evaluation/used", "best/accuracy", "best/latency_ms", "reward/total"),
        *("reward/accuracy", "time/build_s", "time/measure_s", "weight_bits/conv1.0"),
    )
    for tag in ours:
        assert tag in curves
    for tag in ("train/loss", "rollout/ep_rew_mean", "time/fps", "practice/accuracy"):
        assert tag in curves
    accuracies = tuple(float(str(line["score"])) for line in lines)
    assert curves["evaluation/accuracy"].values == pytest.approx(accuracies)
    assert {"bits/best", "bits/chosen", "front/accuracy_latency"} <= image_tags(finished / "tb")


def test_no_tag_has_two_writers(finished: Path) -> None:
    writers = list(tags_by_file(finished / "tb").values())
    assert len(writers) == 3  # Stable-Baselines3's, ours, and the hparams
    assert len(set().union(*writers)) == sum(len(tags) for tags in writers)


def test_the_page_is_written_and_says_simulated(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "are simulated, not measured" in page
    assert "this run has no results.json" not in page


def test_every_evaluation_is_paired_with_the_reference_in_every_record(
    finished: Path, lines: list[dict[str, Any]]
) -> None:
    for line in lines:
        beside = line["beside_reference"]
        assert beside["score"] == pytest.approx(line["score"] - lines[0]["score"])
        assert beside["loss"] == pytest.approx(line["loss"] - lines[0]["loss"], abs=1e-6)
        for name in ("score", "loss"):
            assert beside[f"{name}_se"] <= beside[f"{name}_unpaired_se"]
            assert (beside[f"{name}_se"] == 0) == (line["allocation"] == lines[0]["allocation"])
    rows = {row["name"]: row for row in json.loads((finished / "results.json").read_text())["rows"]}
    for row in rows.values():
        expected = row["score"] - rows["uniform 8"]["score"]
        assert row["beside_reference"]["score"] == pytest.approx(expected)
    with (finished / "results.csv").open() as file:
        for line in csv.DictReader(file):
            expected = rows[line["name"]]["beside_reference"]["score_se"]
            assert float(line["beside_reference_score_se"]) == expected
    with (finished / "pareto.csv").open() as file:
        for line in csv.DictReader(file):
            expected = lines[int(line["index"])]["beside_reference"]["loss_se"]
            assert float(line["beside_reference_loss_se"]) == expected
    curves = read_curves(finished / "tb")
    for tag, name in (("accuracy", "score"), ("loss", "loss")):
        assert curves[f"evaluation/{tag}_beside_reference_se"].values == pytest.approx(
            tuple(line["beside_reference"][f"{name}_se"] for line in lines)
        )


def test_every_record_says_whether_a_retraining_was_kept(
    finished: Path, lines: list[dict[str, Any]]
) -> None:
    for line in lines:
        retraining = line["retraining"]
        better = retraining["trained_loss"] < retraining["start_loss"]
        assert retraining["kept"] == ("trained" if better else "start")
    results = json.loads((finished / "results.json").read_text())
    assert results["search_origin"] == "360 of the images, not trained on"
    rows = {row["name"]: row for row in results["rows"]}
    assert rows["float"]["kept"] == ""
    assert rows["uniform 8"]["kept"] == lines[0]["retraining"]["kept"]
    with (finished / "results.csv").open() as file:
        for line in csv.DictReader(file):
            assert line["kept"] == rows[line["name"]]["kept"]
    page = " ".join((finished / "report.html").read_text().split())
    kept = [line["retraining"]["kept"] for line in lines].count("trained")
    assert f"The retraining of {kept} evaluations" in page
    assert "Search split: 360 of the images, not trained on." in page


def test_evaluate_retrains_and_scores_on_the_test_split(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_module.main([str(finished), "--quiet"]) == DONE
    document = json.loads((finished / "evaluate.json").read_text())
    assert document["split"] == "test"
    assert document["steps"] == 3
    names = [row["name"] for row in document["rows"]]
    assert names == ["float", "float, retrained", "uniform 8", "uniform 4", "best found"]
    printed = capsys.readouterr().out
    assert "test split" in printed
    assert "paired standard error" in printed
    rows = {row["name"]: row for row in document["rows"]}
    for row in rows.values():
        expected = row["score"] - rows["uniform 8"]["score"]
        assert row["beside_reference"]["score"] == pytest.approx(expected)
    assert rows["uniform 8"]["beside_reference"]["score_se"] == 0.0
    assert rows["float"]["beside_reference"]["loss_se"] > 0.0
    best = json.loads((finished / "best_allocation.json").read_text())
    assert document["allocations"]["best found"] == best
    assert list(document["retraining"]) == names[2:]
    for name, retraining in document["retraining"].items():
        assert retraining["kept"] == rows[name]["kept"]
        assert retraining["start_loss"] is not None


def test_evaluate_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_module.main([str(tmp_path)]) == USER_MISTAKE
    assert "not the folder of a finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(HardwareLostError("the worker is gone"), HARDWARE_LOST), (KeyboardInterrupt(), INTERRUPTED)],
)
def test_exit_codes_of_what_ends_a_run_early(
    error: BaseException,
    code: int,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run_module, "set_up_network", broken)
    assert run_module.main(arguments) == code
    log = (Path(arguments[-1]) / "latest" / "run.log").read_text()
    assert "the run ended early" in log


def test_the_same_seed_on_the_simulated_device_gives_the_same_run(
    arguments: list[str], lines: list[dict[str, object]]
) -> None:
    assert run_module.main(arguments) == DONE
    text = (Path(arguments[-1]) / "latest" / "evaluations.jsonl").read_text()
    again = [json.loads(line) for line in text.splitlines()]
    same = ("allocation", "score", "loss", "beside_reference", "latency_ms", "proposer")
    assert [[line[name] for name in same] for line in again] == [
        [line[name] for name in same] for line in lines
    ]
