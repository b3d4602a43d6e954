"""A task whose network is an ONNX file: taken as trained, trained on, and told from other files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx.helper import make_node

from env.errors import TaskError
from env.tasks import Task, TaskConfig, checkpoint_path, float_module, load_task
from quant.errors import BitAllocError
from tests.env.tasks.onnx_network.agreement import write

RNG = np.random.default_rng(0)
SHAPE = (2, 6, 6)


def weights(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) / 4).astype(np.float32)


def network(file: Path, end: str = "Softmax", batch: int | str = 1) -> Path:
    nodes = [
        make_node("Conv", ["x", "conv.weight"], ["a"]),
        make_node("Relu", ["a"], ["b"]),
        make_node("Reshape", ["b", "sizes"], ["c"]),
        make_node("Gemm", ["c", "head.weight"], ["d"]),
        make_node(end, ["d"], ["y"]),
    ]
    values = {
        "conv.weight": weights(4, 2, 3, 3),
        "sizes": np.array([1, -1]),
        "head.weight": weights(64, 3),
    }
    return write(file, nodes, values, [batch, *SHAPE], opset=13)


def data(file: Path, *, last: bool = False, targets: bool = False) -> Path:
    labels = np.arange(60) % 3
    images = RNG.normal(labels[:, None, None, None], 0.3, (60, *SHAPE)).astype("float32")
    images = images.transpose(0, 2, 3, 1) if last else images
    wanted = np.eye(3, dtype="float32")[labels] if targets else labels
    np.savez(file, x_train=images, y_train=wanted, x_test=images[:9], y_test=wanted[:9])
    return file


def task_of(folder: Path, **settings: object) -> Task:
    given: dict[str, object] = {"model": str(folder / "n.onnx"), "data": str(folder / "d.npz")}
    return load_task(TaskConfig(name="own", **(given | settings)))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network(tmp_path / "n.onnx")
    data(tmp_path / "d.npz")
    return tmp_path


def test_the_weights_of_the_file_are_taken_as_trained(folder: Path) -> None:
    task = task_of(folder)
    assert task.recipe.epochs == 0
    module = float_module(task, seed=0)
    made = module(task.test.images)
    assert list(made) == ["logits", "y"]
    torch.testing.assert_close(made["logits"].softmax(1), made["y"])
    assert not checkpoint_path(task, 0).exists()


def test_it_is_trained_on_and_kept_for_this_file_alone(folder: Path) -> None:
    task = task_of(folder, epochs=40)
    path = checkpoint_path(task, 0)
    module = float_module(task, seed=0)
    assert path.exists()
    before = float_module(task_of(folder), seed=0)

    def loss(network: torch.nn.Module) -> torch.Tensor:
        logits = network(task.train.images)["logits"]
        return torch.nn.functional.cross_entropy(logits, task.train.labels)

    assert loss(module) < 0.7 * loss(before)
    network(folder / "n.onnx")  # with other weights
    assert checkpoint_path(task_of(folder, epochs=40), 0) != path


def test_what_the_loss_computes_itself_decides_where_the_logits_are(folder: Path) -> None:
    network(folder / "n.onnx", "Sigmoid", "n")
    assert isinstance(float_module(task_of(folder), seed=0)(torch.zeros(2, *SHAPE)), torch.Tensor)
    data(folder / "d.npz", targets=True)
    found = float_module(task_of(folder, metric="f1"), seed=0)(torch.zeros(2, *SHAPE))
    assert list(found) == ["logits", "y"]
    found = float_module(task_of(folder, metric="mse"), seed=0)(torch.zeros(2, *SHAPE))
    assert isinstance(found, torch.Tensor)


def test_images_with_channels_last_are_moved_for_it(folder: Path) -> None:
    data(folder / "d.npz", last=True)
    task = task_of(folder)
    assert task.notes == ("inputs: channels moved first",)
    assert task.train.images.shape[1:] == SHAPE


def test_other_sizes_are_one_sentence(folder: Path) -> None:
    images, labels = np.zeros((9, 3, 6, 6), "float32"), np.arange(9) % 3
    images[0] = 1
    parts = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(folder / "d.npz", allow_pickle=False, **parts)
    with pytest.raises(TaskError, match=r"cannot take inputs \[N, 3, 6, 6\]: it reads \[N, 2, 6"):
        task_of(folder)
    with pytest.raises(TaskError, match=r"expected one of .*, found 'n\.onnx'") as caught:
        TaskConfig(name="own", data="d.npz", network="n.onnx")
    assert caught.value.hint == "a file is given as --task.model n.onnx"


def test_a_missing_package_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BitAllocError, match=r"package onnx for the network .*n\.onnx") as caught:
        task_of(folder)
    assert caught.value.hint == "pip install 'bitalloc[onnx]'"
