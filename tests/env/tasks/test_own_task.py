"""The user's own network and data, found by name; every mistake is one sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from env.errors import TaskError
from env.tasks import Task, TaskConfig, checkpoint_path, float_module, load_task
from env.tasks.task import HELD_OUT
from quant.errors import DataError

CODE = """
import numpy as np
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, x):
        return self.layer(x) * 2

def blocks():
    return nn.Sequential(nn.Flatten(), Block())

def narrow():
    return nn.Sequential(nn.Linear(2, 3))

def data():
    inputs = np.random.default_rng(0).normal(size=(100, 12)).astype("float32")
    labels = inputs[:, :3].argmax(1)
    return {"train": (inputs[:80], labels[:80]), "test": (inputs[80:], labels[80:])}

def by_class():
    labels = np.repeat([0, 1, 2], 50)
    inputs = np.stack([labels, np.arange(150)], 1).astype("float32")
    return {"train": (inputs, labels), "test": (inputs[:3], labels[:3])}

def by_class_with_search():
    return by_class() | {"search": by_class()["test"]}

def uneven():
    return {"train": (torch.zeros(3, 2), torch.zeros(4).long()), "test": (1, 2)}

def nan():
    return {"train": (torch.full((4, 2), float("nan")), [0, 1, 0, 1]), "test": (1, 2)}

def nothing():
    return None

number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "my_own_task.py"
    file.write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield file
    sys.modules.pop("my_own_task", None)


def own(model: str = "my_own_task:model", data: str = "my_own_task:data", **changes: Any) -> Task:
    return load_task(TaskConfig(name="own", model=model, data=data, **changes))


def test_own_data_are_split_and_the_network_trains(module: Path) -> None:
    task = own(epochs=30)
    assert [len(split) for split in (task.train, task.search, task.test)] == [68, 12, 20]
    assert (task.classes, task.recipe.epochs) == (3, 30)
    trained = float_module(task, 0)
    predicted = trained(task.test.images).argmax(1)
    assert float((predicted == task.test.labels).float().mean()) > 0.6
    untrained = own(epochs=0)
    taken = float_module(untrained, 0).state_dict()
    torch.manual_seed(0)
    made = untrained.make_module().state_dict()
    assert all((taken[name] == value).all() for name, value in made.items()), "as it is made"
    moved = trained.state_dict()
    assert any((moved[name] != value).any() for name, value in made.items()), "training moves it"
    assert not checkpoint_path(untrained, 0).exists()


def test_the_float_training_descends_as_it_is_told(module: Path) -> None:
    by_default, told = own(epochs=1), own(epochs=1, optimizer="adamw", learning_rate=0.003)
    assert (by_default.recipe.optimizer, told.recipe.optimizer) == ("sgd", "adamw")
    assert checkpoint_path(by_default, 0) != checkpoint_path(told, 0)


@pytest.mark.parametrize(("data", "left"), [("by_class", 128), ("by_class_with_search", 150)])
def test_data_sorted_by_class_are_mixed(module: Path, data: str, left: int) -> None:
    task = own("my_own_task:narrow", f"my_own_task:{data}")
    train = task.train
    assert len(train) == left
    assert len(train.images[:, 1].unique()) == left, "each once"
    assert set(train.labels[:64].tolist()) == {0, 1, 2}
    assert min(train.labels[:64].bincount().tolist()) >= 8
    assert torch.equal(train.images[:, 0], train.labels.float()), "inputs keep their labels"
    assert torch.equal(
        own("my_own_task:narrow", f"my_own_task:{data}").train.images, train.images
    ), "always so"
    assert (task.search_origin == HELD_OUT) == (data == "by_class")


def test_a_changed_network_or_changed_data_is_trained_again(module: Path) -> None:
    before = checkpoint_path(own(), 0)
    sys.modules.pop("my_own_task")
    module.write_text(CODE.replace("nn.ReLU()", "nn.ReLU6()"))  # equal shapes
    other = checkpoint_path(own(), 0)
    sys.modules.pop("my_own_task")
    module.write_text(CODE.replace("default_rng(0)", "default_rng(1)"))
    assert len({before, other, checkpoint_path(own(), 0)}) == 3


def test_a_changed_part_of_a_network_is_trained_again(module: Path) -> None:
    before = checkpoint_path(own("my_own_task:blocks"), 0)
    sys.modules.pop("my_own_task")
    module.write_text(CODE.replace("self.layer(x) * 2", "self.layer(x) * 3"))
    assert checkpoint_path(own("my_own_task:blocks"), 0) != before


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("my_own_task:model", "my_own_task:nothing", "expected its training and test data"),
        ("my_own_task:model", "my_own_task:uneven", r"inputs \[N, ...\] and labels \[N\]"),
        ("my_own_task:model", "my_own_task:nan", "finite inputs"),
        ("my_own_task:model", "my_own_task:missing", "has no function 'missing'"),
        ("my_own_task:model", "no_such_module:data", "cannot import no_such_module"),
    ],
)
def test_mistakes_are_one_sentence(module: Path, model: str, data: str, message: str) -> None:
    with pytest.raises((TaskError, DataError), match=message):
        own(model, data)


def test_a_model_that_is_none_is_refused(module: Path) -> None:
    with pytest.raises(TaskError, match=r"to return a torch.nn.Module, found NoneType"):
        float_module(own("my_own_task:nothing"), 0)
    with pytest.raises(TaskError, match="your own data need a network"):
        TaskConfig(name="own", data="my_own_task:data")
    with pytest.raises(TaskError, match="both set"):
        TaskConfig(network="resnet8", model="a:b")
    with pytest.raises(TaskError, match=r"function or a file \(.*\), found 'folder'"):
        TaskConfig(name="own", model="a:b", data="folder")
