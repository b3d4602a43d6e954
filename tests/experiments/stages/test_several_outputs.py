"""What a network returns is said, and so is what of it is trained and scored."""

from pathlib import Path

import pytest

from env.tasks import TaskConfig
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import retrain_and_score, retrain_float_and_score
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.retraining.finetune_config import FinetuneConfig

OWN = "tests.experiments.export.own_outputs"


@pytest.mark.parametrize(
    ("network", "epochs", "said"),
    [
        ("one", 1, ""),
        ("network", 0, "boxes, logits, features.0, features.1: logits is trained and scored"),
        (
            "network",
            1,
            "boxes, logits, features.0, features.1: logits is trained and scored; what it returns "
            "in training alone is not trained",
        ),
        (
            "auxiliary",
            1,
            "output: output is trained and scored; what it returns in training alone is not "
            "trained",
        ),
    ],
)
def test_outputs_are_named(
    network: str, epochs: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    task = TaskConfig(name="own", model=f"{OWN}:{network}", data=f"{OWN}:data", epochs=epochs)
    setup = set_up_network(RunConfig(task=task), LiveProgress(quiet=True))
    assert setup.outputs == said
    assert not setup.module.training


def test_the_main_output_is_what_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    task = TaskConfig(name="own", model=f"{OWN}:network", data=f"{OWN}:data", epochs=8)
    final = FinetuneConfig(steps=2, compensation_images=32, held_back_images=50)
    setup = set_up_network(RunConfig(task=task, final=final), LiveProgress(quiet=True))
    in_float = retrain_float_and_score(setup, setup.task.test)
    allocation = Allocation.uniform(setup.network.layers, 8)
    in_integers = retrain_and_score(setup, allocation, setup.task.test).scores
    assert in_float.value > 0.55  # by the four numbers of a box it would be chance
    assert in_integers.value > 0.55
