"""The plain loop: it learns, by both optimizers, and what it learned is kept."""

from pathlib import Path

import pytest
import torch

from tests.tools.retraining_table import tiny
from tools.retraining_table.data import Data
from tools.retraining_table.plain_training import PlainRecipe, train_plainly, trained


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_learns(optimizer: str) -> None:
    parts = tiny.data()
    recipe = PlainRecipe(
        optimizer=optimizer,  # type: ignore[arg-type]
        learning_rate={"sgd": 0.005, "adam": 0.01}[optimizer],
        epochs=5,
    )
    torch.manual_seed(0)
    module = tiny.make()
    train_plainly(module, *parts["train"], recipe)
    images, labels = parts["test"]
    assert float((module(images).argmax(1) == labels).float().mean()) > 0.85
    assert not module.training


def test_a_network_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loaded: list[Data] = []

    def data() -> Data:
        loaded.append(tiny.data())
        return loaded[-1]

    before = torch.get_rng_state()
    first = trained("digits", tiny.make, tiny.RECIPE, data)
    again = trained("digits", tiny.make, tiny.RECIPE, data)
    assert len(loaded) == 1
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert torch.equal(before, torch.get_rng_state())
    other = PlainRecipe(optimizer="adam", learning_rate=1e-3, epochs=1)
    trained("digits", tiny.make, other, data)
    assert len(loaded) == 2
