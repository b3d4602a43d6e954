"""What a search says before it begins, and what a stored accuracy is kept under."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from env.tasks import TaskConfig
from experiments import run as run_module
from experiments.record import files
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.search import accuracy_key
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress

OWN = "tests.experiments.stages.own_points"
SENTENCE = "points below the float network on the search split"
RUINOUS = [
    *("--env.finetune.steps", "8", "--env.finetune.learning-rate", "0.3"),
    *("--env.finetune.compensation-images", "0", "--env.finetune.held-back-images", "0"),
]
HARMLESS = ["--env.finetune.steps", "8"]


@pytest.mark.parametrize(("flags", "ruined"), [(RUINOUS, True), (HARMLESS, False)])
def test_a_reference_that_lost_to_float_is_told_before_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], ruined: bool
) -> None:
    run = ["--method", "uniform", "--evaluations", "2", "--quiet", "--target.runner", "simulated"]
    short = ["--task.epochs", "3", "--output", str(tmp_path)]
    assert run_module.main([*run, *flags, *short]) == DONE
    results = json.loads((tmp_path / "latest" / files.RESULTS).read_text())
    whole, reference = (row["score"] for row in results["rows"][:2])
    assert (whole - reference > 0.1) == ruined
    log = (tmp_path / "latest" / files.LOG).read_text()
    assert (SENTENCE in capsys.readouterr().out) == (SENTENCE in log) == ruined
    if ruined:
        assert f"the all-8-bit reference is {100 * (whole - reference):.2f} ± " in log
        assert log.index(SENTENCE) < log.index("the search: ")


@pytest.mark.parametrize(("evaluations", "silent"), [("2", True), ("12", False)])
def test_a_method_that_proposed_nothing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], evaluations: str, silent: bool
) -> None:
    flags = ["--method", "random", "--quiet", "--target.runner", "simulated", *HARMLESS]
    flags += ["--task.epochs", "1", "--output", str(tmp_path), "--evaluations", evaluations]
    assert run_module.main([*flags, "--budget.latency-ratio", "0.8"]) == DONE
    told = capsys.readouterr().out
    assert (
        "went to uniform allocations, which come first: random proposed nothing" in told
    ) == silent
    assert f"\n{evaluations} evaluations" in told


def set_up(**env: Any) -> NetworkSetup:
    own = TaskConfig(name="own", model=f"{OWN}:network", data=f"{OWN}:data", epochs=0)
    config = RunConfig(task=own)
    return set_up_network(replace(config, env=replace(config.env, **env)), LiveProgress(quiet=True))


def with_task(setup: NetworkSetup, **changes: Any) -> NetworkSetup:
    return replace(setup, task=replace(setup.task, **changes))


def with_another_image(setup: NetworkSetup) -> NetworkSetup:
    images = setup.task.train.images.clone()
    images[0, 0] += 1e-3
    return with_task(setup, train=replace(setup.task.train, images=images))


def with_another_label(setup: NetworkSetup) -> NetworkSetup:
    labels = setup.task.search.labels.clone()
    labels[0] = (labels[0] + 1) % 3
    return with_task(setup, search=replace(setup.task.search, labels=labels))


CHANGES: dict[str, Callable[[NetworkSetup], NetworkSetup]] = {
    "a training image": with_another_image,
    "a label of the search split": with_another_label,
    # Two functions of one name, as before and after a user's change.
    "augmentation": lambda setup: with_task(setup, augment=lambda images, _: 2 * images),
    "another augmentation": lambda setup: with_task(setup, augment=lambda images, _: 3 * images),
    "weights": lambda _: set_up(weights="shared"),
}


def test_whatever_decides_an_accuracy_changes_its_key() -> None:
    base = set_up()
    key = accuracy_key(base)
    assert accuracy_key(set_up()) == key
    keys = {name: accuracy_key(change(base)) for name, change in CHANGES.items()}
    texts = {json.dumps(each, sort_keys=True) for each in [key, *keys.values()]}
    assert len(texts) == 1 + len(CHANGES)
    differing = {
        name: [part for part in key if each[part] != key[part]] for name, each in keys.items()
    }
    assert differing == {
        "a training image": ["data"],
        "a label of the search split": ["data"],
        "augmentation": ["augment"],
        "another augmentation": ["augment"],
        "weights": ["weights"],
    }
