"""The user's own loss and metric, by name; every mistake is one sentence before any training."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from env.errors import TaskError
from env.tasks import Task, TaskConfig, float_module, load_task
from env.tasks.objective.check import check_objective
from quant.errors import BitAllocError, DataError, ObjectiveError
from quant.objective.paired import paired
from quant.outputs import as_outputs

CODE = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x):
        return self.first(x), self.second(x)

def several():
    return Pair()

def network():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

def flat():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))

def convolution():
    return nn.Conv2d(1, 3, 3, padding=1)

def _data(targets):
    inputs = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    found = targets(inputs)
    return {"train": (inputs[:40], found[:40]), "test": (inputs[40:], found[40:])}

def regression():
    return _data(lambda x: x[:, :2] ** 2)

def single():
    return _data(lambda x: x[:, 0].astype("float64"))

def labels_of_one():
    return _data(lambda x: (x.sum(1) > 0).astype("int64"))

def labels():
    return _data(lambda x: (x[:, :2] > 0).astype("int64"))

def holes():
    return _data(lambda x: np.where(x[:, :2] > 2, np.nan, x[:, :2]))

def maps():
    inputs = torch.rand(20, 1, 4, 4)
    found = (inputs[:, 0] > 0.5).long()
    found[:, 0] = 9
    return {"train": (inputs[:15], found[:15]), "test": (inputs[15:], found[15:])}

def tuple_loss(outputs, targets):
    first, second = outputs
    return functional.mse_loss(first, targets) + second.square().mean()

def first_error(outputs, targets):
    return (outputs[0] - targets).abs().mean(1)
first_error.more_is_better = False

def close(outputs, targets):
    return ((outputs - targets).abs() < 1).all(1)
close.more_is_better, close.unit = True, "%"

def correlation(outputs, targets):
    return np.corrcoef(outputs.flatten().numpy(), targets.flatten().numpy())[0, 1]
correlation.more_is_better = True

def says_nothing(outputs, targets):
    return 1.0

def raises(outputs, targets):
    raise ValueError("no such thing,\\nreally")
raises.more_is_better = True

def matrix(outputs, targets):
    return outputs
matrix.more_is_better = True

def nothing(outputs, targets):
    return None
nothing.more_is_better = True

def percents(outputs, targets):
    return 93.0
percents.more_is_better, percents.unit = True, "%"

def nan_loss(outputs, targets):
    return (outputs - targets).sum() * float("nan")

def loss_by_numpy(outputs, targets):
    return float(np.mean((outputs.detach().numpy() - targets.numpy()) ** 2))

def cut_loss(outputs, targets):
    return functional.mse_loss(outputs.detach(), targets)

def l1(outputs, targets):
    return functional.l1_loss(outputs, targets)

def l1_of_each(outputs, targets):
    return (outputs - targets).abs().mean(1)
"""
NAME = "my_own_functions"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / f"{NAME}.py"
    file.write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sys.modules.pop(NAME, None)
    yield file
    sys.modules.pop(NAME, None)


def task_of(
    metric: str = "mse",
    loss: str = "",
    model: str = "network",
    data: str = "regression",
    ignore_label: int = 255,
) -> Task:
    """Load a task whose functions are named without their module, and try its objective."""

    def full(name: str) -> str:
        return f"{NAME}:{name}" if f"def {name}(" in CODE else name

    config = TaskConfig(
        name="own",
        model=full(model),
        data=full(data),
        metric=full(metric),
        loss=full(loss),
        epochs=2,
        ignore_label=ignore_label,
    )
    task = load_task(config)
    check_objective(task, config.ignore_label)
    return task


@pytest.mark.parametrize(
    ("metric", "loss", "model", "data"),
    [
        ("mse", "", "network", "regression"),
        ("f1", "", "network", "labels"),
        ("close", "l1", "network", "regression"),
        ("correlation", "l1_of_each", "network", "regression"),
        ("first_error", "tuple_loss", "several", "regression"),
        ("mse", "", "flat", "single"),
        ("f1", "", "flat", "labels_of_one"),
    ],
)
def test_networks_are_trained_by_the_loss_and_scored_by_the_metric(
    module: Path, metric: str, loss: str, model: str, data: str
) -> None:
    task = task_of(metric, loss, model, data)
    scores = []
    for trained in (task.make_module(), float_module(task, 0)):
        with torch.no_grad():
            batches = [(as_outputs(trained(task.test.images)), task.test.labels)]
        scores.append(task.objective.score(batches))
    before, after = (one.score for one in scores)
    assert after.loss < before.loss
    assert after.standard_error is not None
    assert after.standard_error > 0
    difference = paired(*scores)
    assert difference.score == pytest.approx(before.value - after.value)
    assert difference.score_se is not None
    assert difference.score_unpaired_se is not None
    assert 0 <= difference.score_se <= difference.score_unpaired_se


def test_label_maps_with_a_label_that_does_not_count(module: Path) -> None:
    task = task_of("miou", "", "convolution", "maps", ignore_label=9)
    assert task.train.labels.dtype == torch.int64
    assert task.classes == 2
    assert task.objective.metric.name == "mIoU"


def test_a_mean_is_asked_for_image_by_image(module: Path) -> None:
    whole, each = (task_of(loss=loss).objective.loss for loss in ("l1", "l1_of_each"))
    generator = torch.Generator().manual_seed(0)
    outputs, targets = (torch.randn(7, 2, generator=generator) for _ in range(2))
    assert torch.allclose(whole.each(outputs, targets), each.each(outputs, targets))
    assert float(whole.total(outputs, targets)) == pytest.approx(
        float(each.total(outputs, targets))
    )


def test_targets_of_single_floats_are_like_the_outputs(module: Path) -> None:
    with pytest.raises(ObjectiveError, match=r"outputs \[6, 2\] and labels \[6, 1\]") as found:
        task_of(data="single")
    assert "--task.loss" in found.value.hint


def test_a_changed_helper_is_another_function(module: Path) -> None:
    before = task_of("close", "l1").objective.key
    module.write_text(CODE.replace("< 1)", "< 2)"))
    sys.modules.pop(NAME)
    after = task_of("close", "l1").objective.key
    assert set(before) == set(after) == {"loss", "metric"}
    assert all(before[name] != after[name] for name in before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "says_nothing"}, "task.metric: expected .*says_nothing to say whether more is"),
        ({"metric": "raises"}, r"raises raised ValueError, no such thing, really, for outputs \[6"),
        ({"metric": "matrix"}, r"one for each of 6 images; found \[6, 2\] of float32"),
        ({"metric": "nothing"}, r"nothing to return a number, or one for each of 6 images; found"),
        ({"metric": "percents"}, "expected percents from 0 to 1, as it is shown in percent, found"),
        ({"metric": "mse", "loss": "nan_loss"}, "task.loss: expected finite losses of .*nan_loss"),
        ({"loss": "loss_by_numpy"}, "loss_by_numpy to return a tensor that gradients go through"),
        ({"loss": "cut_loss"}, "gradients go through, found one that has none"),
        ({"loss": f"{NAME}:missing"}, "task.loss: my_own_functions has no function 'missing'"),
        ({"data": "holes"}, "expected finite targets, found NaN or infinity"),
        ({"metric": "top1"}, r"train: expected one label for each input, found \[40, 2\]"),
        (
            {"model": "several", "metric": "correlation"},
            r"for outputs 2 outputs \[6, 2\], \[6, 3\]",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    module: Path, changes: dict[str, str], words: str
) -> None:
    asked = {"loss": "l1"} if changes.get("metric", "top1") not in {"top1", "mse"} else {}
    with pytest.raises(BitAllocError, match=words) as found:
        task_of(**(asked | changes))  # type: ignore[arg-type]
    assert "\n" not in found.value.message


def test_labels_that_the_network_has_no_output_for_are_refused(module: Path) -> None:
    with pytest.raises(DataError, match=r"labels from 0 to 2 .* 3 classes, or 255 .* found 0 to 9"):
        task_of("miou", "", "convolution", "maps")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "top2"}, "task.metric: expected top1, top5, miou, mse, f1 or package.module"),
        ({"loss": "hinge"}, "task.loss: expected cross-entropy, mse, bce or package.module"),
        ({"metric": "mine:metric"}, r"a metric of your own \(mine:metric\) needs a loss"),
    ],
)
def test_unknown_names_are_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(TaskError, match=words):
        TaskConfig(**changes)  # type: ignore[arg-type]
