"""A run with energies from end to end: modelled on the simulated device, metered on this one."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.errors import RunFolderError
from experiments.record.curves import read_curves
from experiments.record.run_folder import RunFolder
from experiments.stages.resume import check_same_machine
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

MODELLED = """
evaluations: 3
quiet: true
method: random
target: {runner: simulated}
protocol: {warmups: 0, repeats: 5}
env: {bit_choices: [4, 8], calibration_images: 64,
      finetune: {steps: 1, compensation_images: 32, held_back_images: 50}}
final: {steps: 1}
energy: {meter: modelled, modelled_w: 2.5}
budget: {energy_ratio: 0.9}
"""
REWARDED = """
evaluations: 4
quiet: true
target: {tune_s: 0.0}
protocol: {warmups: 0, repeats: 5, min_repeat_ms: 0.5}
env: {bit_choices: [4, 8], calibration_images: 64,
      finetune: {steps: 1, compensation_images: 32, held_back_images: 50},
      reward: {energy_weight: 1.0}}
method: random
energy: {meter: external, command: "date '+%s.%N J'", interval_s: 0.005, window_s: 0.1,
         idle_s: 0.05, layer_programs: 2}
budget: {latency_ratio: 100.0, energy_ratio: 100.0}
"""
"""`date` prints seconds: as a counter of joules it is a meter of one watt."""


def run(folder: Path, text: str) -> Path:
    (folder / "config.yaml").write_text(text)
    arguments = ["--config", str(folder / "config.yaml"), "--output", str(folder / "runs")]
    assert run_module.main(arguments) == DONE
    return (folder / "runs" / "latest").resolve()


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("modelled"), MODELLED)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]


def test_a_modelled_energy_budget_is_kept_and_called_modelled_everywhere(
    modelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = json.loads((modelled / "budget.json").read_text())
    assert budget["latency_ms"] is None
    for line in lines_of(modelled):
        assert line["energy_source"] == "modelled"
        assert line["energy_mj"] == pytest.approx(2.5 * line["latency_ms"])
        if line["proposer"] == "random":
            assert line["energy_mj"] <= 1.02 * budget["energy_mj"]
    assert json.loads((modelled / "layer_table.json").read_text())["energy_source"] == "modelled"
    for name in ("pareto.csv", "results.csv"):
        for row in csv.DictReader((modelled / name).read_text().splitlines()):
            if row["latency_ms"]:
                assert row["energy_source"] == "modelled", name
                assert float(row["energy_mj"]) == pytest.approx(2.5 * float(row["latency_ms"]))
    page = (modelled / "report.html").read_text()
    assert "No meter was read." in page
    assert "mJ (modelled)" in page
    tags = set(read_curves(modelled / "tb"))
    assert {"evaluation/energy_modelled_mj", "reward/energy_modelled"} <= tags
    assert not [tag for tag in tags if "energy" in tag and "modelled" not in tag]
    assert evaluate_module.main([str(modelled), "--quiet"]) == DONE
    said = " ".join(capsys.readouterr().out.split())
    document = json.loads((modelled / "evaluate.json").read_text())
    assert document["rows"][-1]["energy_source"] == "modelled"
    assert "by modelled: named watts times the time, nobody measured it" in said


@pytest.mark.slow
def test_a_finished_run_is_resumed_with_its_energies(modelled: Path) -> None:
    before = lines_of(modelled)
    assert run_module.main(["--resume", str(modelled), "--evaluations", "4"]) == DONE
    after = lines_of(modelled)
    assert after[: len(before)] == before
    assert len(after) > len(before)


@pytest.mark.slow
def test_a_metered_run_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(tmp_path, REWARDED)
    said = capsys.readouterr().out
    assert "energy: external (date" in said
    assert "gross mJ" in said
    assert "net mJ" in said
    facts = json.loads((folder / "environment.json").read_text())["device"]["energy"]
    assert facts["energy_source"] == "external"
    for line in lines_of(folder):
        assert line["energy_source"] == "external"
        energy = line["measurement"]["energy"]
        assert energy["idle_w"] == pytest.approx(1.0, rel=0.5)
        assert len(energy["blocks_mj"]) == 5
        assert energy["gross_mj"] == pytest.approx(
            1000 * energy["window_s"] / energy["loops"], rel=0.5
        )
    table = json.loads((folder / "layer_table.json").read_text())
    assert table["energy_source"] == "external"
    assert all(value > 0 for row in table["energies_uj"].values() for value in row.values())
    curves = read_curves(folder / "tb")
    for name in ("energy_mj", "energy_net_mj", "energy_idle_w", "energy_error_mj"):
        assert len(curves[f"evaluation/{name}"].values) == len(lines_of(folder)), name
    assert curves["reward/energy"].values[0] == 0.0, "the reference"
    row = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))[-1]
    assert row["energy_source"] == "external"
    assert row["energy_net_mj"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--budget.energy-mj", "1"], "budget.energy_mj needs to know energies"),
        (["--budget.energy-ratio", "0.5"], "budget.energy_ratio needs to know energies"),
        (["--env.reward.energy-weight", "1"], "env.reward.energy_weight needs to know energies"),
        (["--energy.meter", "rapl"], "expected none or modelled for a simulated device"),
        (["--energy.meter", "modelled"], "a modelled source and its watts are named together"),
    ],
)
def test_energy_without_a_meter_is_refused_with_what_to_connect(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--target.runner", "simulated", "--output", str(tmp_path), *flags]
    assert run_module.main(arguments) == USER_MISTAKE
    error = capsys.readouterr().err
    assert said in error
    assert "hint:" in error
    assert "Traceback" not in error
    if "needs to know" in said:
        assert "a Jetson or a Raspberry Pi 5" in error
        assert "--energy.meter modelled" in error


def test_a_meter_that_is_not_there_ends_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--output", str(tmp_path), "--energy.meter", "ina3221"]
    assert run_module.main(arguments) == USER_MISTAKE
    assert "energy.meter: ina3221: no INA3221 under" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_another_meter(modelled: Path) -> None:
    folder, facts = RunFolder(modelled), {"cpu": "simulated"}
    before = json.loads((modelled / "environment.json").read_text())["device"]
    check_same_machine(folder, before)
    with pytest.raises(RunFolderError, match=r"measured with energy .*'watts': 2.5.*found None"):
        check_same_machine(folder, facts)
