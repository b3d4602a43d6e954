"""Sensitivities of the search split are measured for environments alone, once, and kept."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import run as run_module
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.settings.load import read_config_file
from experiments.stages import env_sensitivities
from experiments.stages.network_setup import set_up_network
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.terminal.progress import LiveProgress
from hardware.store import Store
from quant.records.json_form import to_plain
from quant.sensitivities import SensitivityTable, measured_sensitivity
from quant.sensitivities.batches import batches_of

CONFIG = """
evaluations: 9
quiet: true
target: {runner: simulated}
protocol: {warmups: 0, repeats: 5}
env: {bit_choices: [2, 4, 8], calibration_images: 64,
      finetune: {steps: 1, compensation_images: 32, held_back_images: 50}}
ppo: {policy: run, posterior: false, race: 0,
      warm_up_episodes: 16, practice_episodes: 4, final_evaluations: 1, rollout_episodes: 8}
"""
STORE = "store.sqlite"


def start(output: Path, method: str) -> Path:
    file = output / "small.yaml"
    file.write_text(CONFIG)
    flags = ["--config", str(file), "--output", str(output), "--method", method]
    assert run_module.main(flags) == DONE
    return (output / "latest").resolve()


def go_on(folder: Path) -> int:
    return run_module.main(["--resume", str(folder), "--evaluations", "10"])


def kept(store: Path) -> int:
    with Store(store) as found:
        return found.count("sensitivity")


def measurings(folder: Path) -> int:
    """Return how often a run has measured, rather than found, a sensitivity."""
    return (folder / files.LOG).read_text().count("measured sensitivity: ")


def shown(folder: Path) -> SensitivityTable:
    table = RunRecord(folder).sensitivity
    assert table is not None
    return table


@pytest.fixture(scope="module")
def ppo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start(tmp_path_factory.mktemp("runs"), "ppo")


@pytest.fixture
def ppo(ppo_run: Path, tmp_path: Path) -> Path:
    """A finished run by itself, without the store that it wrote."""
    folder = shutil.copytree(ppo_run, tmp_path / ppo_run.name)
    config = (folder / files.CONFIG).read_text()
    (folder / files.CONFIG).write_text(config.replace(str(ppo_run.parent), str(tmp_path)))
    return folder


def test_a_method_without_environments_measures_none(tmp_path: Path) -> None:
    folder = start(tmp_path, "uniform")
    assert not (folder / files.SENSITIVITIES).exists()
    assert (folder / files.REPORT).is_file()
    assert kept(tmp_path / STORE) == measurings(folder) == 0
    assert go_on(folder) == DONE
    assert not (folder / files.SENSITIVITIES).exists()


def test_a_run_shows_the_whole_search_split_and_a_second_one_finds_that(ppo_run: Path) -> None:
    setup = set_up_network(read_config_file(ppo_run / files.CONFIG), LiveProgress(quiet=True))
    search = setup.task.search
    batches = batches_of(search.images, search.labels, 256)
    expected = measured_sensitivity(setup.network, batches, setup.widths)
    found = shown(ppo_run)
    assert replace(found, seconds=expected.seconds) == expected
    assert found.images == len(search)
    assert measurings(ppo_run) == kept(ppo_run.parent / STORE) == 1

    second = start(ppo_run.parent, "random")
    assert shown(second) == found, "even the seconds, which no second measuring would repeat"
    assert measurings(second) == 0
    assert kept(ppo_run.parent / STORE) == 1


def test_the_time_of_measuring_is_not_the_searchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, late = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + late)

    def measured_in_an_hour(*arguments: Any, **options: Any) -> SensitivityTable:
        nonlocal late
        late += 3600.0
        return measured_sensitivity(*arguments, **options)

    monkeypatch.setattr(env_sensitivities, "measured_sensitivity", measured_in_an_hour)
    results = RunRecord(start(tmp_path, "random")).results
    assert results is not None
    assert results["seconds"] > 3600.0, "of the whole run"
    assert 0 < results["accounting"]["wall_s"] < 600.0


def test_a_resumed_run_keeps_its_own(ppo: Path) -> None:
    own = replace(shown(ppo), seconds=12345.0)
    (ppo / files.SENSITIVITIES).write_text(json.dumps(to_plain(own)))
    assert go_on(ppo) == DONE
    assert shown(ppo) == own
    assert kept(ppo.parent / STORE) == 0


def test_a_run_that_was_killed_before_it_had_any_measures_them(ppo: Path) -> None:
    before = shown(ppo)
    (ppo / files.SENSITIVITIES).unlink()
    assert go_on(ppo) == DONE
    assert shown(ppo).rises == before.rises
    assert measurings(ppo) == 2
    assert kept(ppo.parent / STORE) == 1


def test_a_damaged_file_is_named(ppo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ppo / files.SENSITIVITIES).write_text("{")
    assert go_on(ppo) == USER_MISTAKE
    printed = capsys.readouterr().err
    assert str(ppo / files.SENSITIVITIES) in printed
    assert "damaged" in printed
