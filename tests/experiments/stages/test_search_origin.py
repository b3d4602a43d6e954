"""Where the search split came from is said, and whether weights may have been trained on it."""

import json
from pathlib import Path

import pytest

from env.tasks import TaskConfig
from experiments import run as run_module
from experiments.record import files
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress

OWN = "tests.experiments.stages.own_points"
WARNING = "weights that were trained elsewhere may have seen them"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def set_up(data: str, *, epochs: int = 0, weights: str = "") -> NetworkSetup:
    task = TaskConfig(
        name="own",
        model=f"{OWN}:network",
        data=f"{OWN}:{data}",
        epochs=epochs,
        weights=weights,
    )
    return set_up_network(RunConfig(task=task), LiveProgress(quiet=True))


def test_images_held_out_of_others_training_are_told(tmp_path: Path) -> None:
    trained_here = set_up("data", epochs=1)
    assert trained_here.search_origin == "held out of the training images, as nobody gave one"
    assert WARNING in set_up("data").search_origin
    file = next((tmp_path / "cache").rglob("*.safetensors"))
    assert WARNING in set_up("data", epochs=1, weights=str(file)).search_origin


def test_a_search_split_that_was_given_is_not_doubted() -> None:
    assert set_up("data_with_search").search_origin == "given with your data"


def test_a_run_says_it_in_every_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--method", "uniform", "--evaluations", "2", "--quiet", "--target.runner", "simulated"]
    own = ["--task.name", "own", "--task.model", f"{OWN}:network", "--task.data", f"{OWN}:data"]
    short = ["--task.epochs", "0", "--env.finetune.steps", "1", "--output", str(tmp_path)]
    assert run_module.main([*flags, *own, *short]) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    folder = tmp_path / "latest"
    origin = json.loads((folder / files.RESULTS).read_text())["search_origin"]
    assert WARNING in origin
    assert f"search split: {origin}" in printed
    assert f"Search split: {origin}." in " ".join((folder / files.REPORT).read_text().split())
