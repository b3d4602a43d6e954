"""Own inputs and labels of every type, and what cannot be learned from in one sentence."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from env.errors import TaskError
from env.tasks import Task, TaskConfig, load_task
from quant.errors import BitAllocError, DataError

rng = np.random.default_rng(0)
Y = np.arange(40) % 3
X = (rng.normal(0, 0.3, (40, 3, 8, 8)) + Y[:, None, None, None]).astype("float32")


def split(inputs: Any, labels: Any) -> dict[str, Any]:
    return {"train": (inputs[10:], labels[10:]), "test": (inputs[:10], labels[:10])}


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


class Pictures(Dataset[Any]):
    """As torchvision's data sets are without a transform."""

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        pixels = (X[index].transpose(1, 2, 0) * 40 + 60).clip(0, 255).astype("uint8")
        return Image.fromarray(pixels), int(Y[index])


class Frame:
    """An array of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return Y


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("my_own_data")
    module.network = network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_own_data", module)
    return module


def load(mine: ModuleType, document: object, **changes: Any) -> Task:
    def data() -> object:
        return document() if callable(document) else document

    mine.data = data  # type: ignore[attr-defined]
    values = {"model": "my_own_data:network", **changes}
    return load_task(TaskConfig(name="own", data="my_own_data:data", **values))


TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", ">i4", ">u2"),
)
LABELS: dict[str, Callable[[], Any]] = {
    **{kind: lambda kind=kind: Y.astype(kind) for kind in TYPES},  # type: ignore[misc]
    "a column": lambda: Y[:, None],
    "a tensor": lambda: torch.tensor(Y, dtype=torch.int32),
    "an unsigned tensor": lambda: torch.tensor(Y).to(torch.uint16),
    "a column of tensors": lambda: torch.tensor(Y)[:, None].to(torch.uint8),
    "a list": lambda: Y.tolist(),
    "a list of arrays": lambda: list(Y),
    "numbers of Python": lambda: Y.astype(object),
    "one-hot": lambda: np.eye(3, dtype="float32")[Y],
    "one-hot of truth": lambda: np.eye(3, dtype=bool)[Y],
    "read only": lambda: np.frombuffer(Y.tobytes(), Y.dtype),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_type_stay_what_they_are(mine: ModuleType, kind: str) -> None:
    task = load(mine, split(X, LABELS[kind]()))
    assert task.test.labels.dtype == torch.int64
    assert task.test.labels.tolist() == Y[:10].tolist()
    assert (task.classes, task.labels, task.notes) == (3, (), ())


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (Y + 1, ("1", "2", "3")),
        (Y * 50, ("0", "50", "100")),
        (np.array(["eel", "cat", "dog"])[Y], ("cat", "dog", "eel")),
        (list(np.array(["eel", "cat", "dog"])[Y]), ("cat", "dog", "eel")),
        (np.array(["eel", "cat", "dog"], object)[Y], ("cat", "dog", "eel")),
        ((Y + 1).astype("uint16"), ("1", "2", "3")),
        (Y.astype("uint64") + np.uint64(2**63), tuple(str(2**63 + k) for k in range(3))),
    ],
)
def test_labels_with_gaps_are_counted_and_their_names_kept(
    mine: ModuleType, labels: Any, names: tuple[str, ...]
) -> None:
    expected = [names.index(str(label)) for label in np.asarray(labels)[:10]]
    for changes in ({}, {"model": "", "network": "resnet8"}):
        task = load(mine, split(X, labels), **changes)
        assert task.test.labels.tolist() == expected
        assert task.labels == names
        assert task.notes == (f"labels: {', '.join(names)} are counted as classes 0 to 2",)


def test_outputs_without_labels_and_classes_without_training_are_told(mine: ModuleType) -> None:
    task = load(mine, split(X, Y > 0))
    assert task.notes == ("labels: of the network's 3 outputs the data use 2",)
    task = load(mine, {"train": (X[Y != 2], Y[Y != 2]), "test": (X, Y)})
    assert task.notes == ("labels: no training example is of 2",)
    assert task.classes == 3


INPUTS: dict[str, Callable[[], Any]] = {
    "turned colours": lambda: split(X[:, ::-1], Y),
    "big-endian": lambda: split(X.astype(">f4"), Y),
    "double": lambda: split(X.astype("float64"), Y),
    "half": lambda: split(X.astype("float16"), Y),
    "bfloat16": lambda: split(torch.tensor(X).bfloat16(), torch.tensor(Y)),
    "sparse": lambda: split(torch.tensor(X), Y) | {"train": (torch.tensor(X).to_sparse(), Y)},
    "with a gradient": lambda: split(torch.tensor(X, requires_grad=True), torch.tensor(Y)),
    "lists": lambda: split(list(X), list(Y)),
    "lists of tensors": lambda: split([torch.tensor(x) for x in X], torch.tensor(Y)),
    "nested lists": lambda: split(X.tolist(), Y.tolist()),
    "labels of another library": lambda: {"train": (X, Frame()), "test": (X, Frame())},
    "a data set": lambda: dict.fromkeys(
        ("train", "test"), TensorDataset(torch.tensor(X), torch.tensor(Y))
    ),
    "a loader": lambda: dict.fromkeys(
        ("train", "test"), DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), 7)
    ),
    "a list of examples": lambda: {
        part: list(zip(X, Y, strict=True)) for part in ("train", "test")
    },
    "with val": lambda: split(X, Y) | {"val": (X[:9], Y[:9])},
    "val in place of test": lambda: {"train": (X, Y), "val": (X, Y)},
}


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_of_every_type_are_taken(mine: ModuleType, kind: str) -> None:
    task = load(mine, INPUTS[kind]())
    assert task.train.images.dtype == torch.float32
    assert task.train.images.shape[1:] == (3, 8, 8)
    assert task.preprocessing is None
    known = X[:, ::-1] if kind == "turned colours" else X
    loose = 1e-2 if kind in ("half", "bfloat16") else 0
    if kind != "with val":
        assert torch.allclose(task.test.images[:5], torch.tensor(known[:5].copy()), atol=loose)
    assert (task.search_origin == "given with your data") == (kind == "with val")


@pytest.mark.parametrize(("kind", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_pixels_of_files_are_brought_to_1(mine: ModuleType, kind: str, largest: int) -> None:
    pixels = rng.integers(0, largest, X.shape).astype(kind)
    task = load(mine, split(pixels, Y))
    assert torch.allclose(task.test.images, torch.tensor(pixels[:10] / largest).float())
    assert task.preprocessing is not None
    assert task.preprocessing.largest == largest
    told = load(mine, split(pixels, Y), normalize="0.5,0.4,0.3/0.25,0.2,0.1")
    mean, deviation = torch.tensor((0.5, 0.4, 0.3)), torch.tensor((0.25, 0.2, 0.1))
    expected = (task.test.images - mean[:, None, None]) / deviation[:, None, None]
    assert torch.allclose(told.test.images, expected)
    with pytest.raises(TaskError, match="a mean for each of 3 channels, found 2"):
        load(mine, split(pixels, Y), normalize="0.5,0.4/0.25,0.2")


def test_pictures_of_a_data_set_are_taken(mine: ModuleType) -> None:
    task = load(mine, {"train": Pictures(), "test": Pictures()})
    assert task.train.images.shape[1:] == (3, 8, 8)
    assert float(task.train.images.max()) <= 1
    assert task.notes == ("inputs: channels moved first",)


def test_channels_are_where_the_network_takes_them(mine: ModuleType) -> None:
    last = split(X.transpose(0, 2, 3, 1), Y)
    for changes in ({}, {"model": "", "network": "resnet8"}):
        task = load(mine, last, **changes)
        assert torch.equal(task.test.images, torch.tensor(X[:10]))
        assert task.notes == ("inputs: channels moved first",)
    mine.network = lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3))  # type: ignore[attr-defined]
    assert load(mine, last).example.shape == (1, 8, 8, 3), (
        "a network that takes them stays as it is"
    )
    grey = split(X[:, 0], Y)
    mine.network = lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))  # type: ignore[attr-defined]
    for changes in ({}, {"model": "", "network": "resnet8"}):
        task = load(mine, grey, **changes)
        assert task.example.shape == (1, 1, 8, 8)
        assert task.notes == ("inputs: a channel added",)
    sound = split(X.reshape(40, 3, 64).transpose(0, 2, 1), Y)
    mine.network = lambda: nn.Sequential(nn.Conv1d(3, 2, 3), nn.Flatten(), nn.Linear(124, 3))  # type: ignore[attr-defined]
    assert load(mine, sound).example.shape == (1, 3, 64)


class Missing(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A data set of files, of which the fourth is missing."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if index == 3:
            raise FileNotFoundError(2, "No such file or directory", "3.png")
        return torch.tensor(X[index]), int(Y[index])


def broken(value: float) -> Any:
    inputs = X.copy()
    inputs[7, 0, 0, 0] = value
    return split(inputs, Y)


def raises() -> object:
    raise FileNotFoundError(2, "No such file", "train.npz")


def denied() -> object:
    raise PermissionError(13, "Permission denied", "/data/train.npz")


REFUSED: dict[str, tuple[Any, str]] = {
    "an ignored class": (split(X, np.where(Y == 2, -1, Y)), "class numbers from 0 .* found -1"),
    "one class": (split(X, Y * 0), "two classes or more, found 0"),
    "too many classes": (
        split(X, np.arange(40) % 5),
        r"labels from 0 to 2, as the network has 3 outputs, found 0, 1, 2, 3, ... \(5 different",
    ),
    "ids with too few": (split(X, (Y > 0) * 7), "labels from 0 to 2, .* found 0, 7"),
    "fractions": (split(X, Y + 0.5), "class numbers as labels, found 1.5"),
    "labels of NaN": (split(X, Y + np.nan), "class numbers as labels, found nan"),
    "several labels": (
        split(X, np.ones((40, 3), int)),
        r"one label for each input, found \[30, 3.*f1",
    ),
    "mixed labels": (split(X, np.array([1, "a"] * 20, object)), "numbers, found objects of Python"),
    "dates as labels": (split(X, Y.astype("datetime64[D]")), "class numbers as labels"),
    "NaN": (broken(np.nan), "my_own_data:data, test: expected finite inputs.*first in number 7"),
    "an infinity": (broken(np.inf), "finite inputs"),
    "beyond squares": (split(X * 1e30, Y), r"float32 can compute with, found values up to"),
    "beyond float32": (split(X.astype("float64") * 1e60, Y), r"found values up to \d"),
    "one number": (split(X * 0, Y), "inputs that differ, found the same number everywhere"),
    "swapped": (split(Y, X), r"inputs \[N, ...\] and labels .*, found \[30\] and \[30, 3"),
    "five dimensions": (split(X[:, :, None], Y), r"\[N, C, H, W\], .* found \[30, 3, 1, 8, 8\]"),
    "other channels": (
        split(X[:, :2], Y),
        r"network cannot take inputs \[N, 2, 8, 8\]: .*channels",
    ),
    "grey for colours": (split(X[:, 0], Y), r"cannot take inputs \[N, 8, 8\]"),
    "words": (split(np.full((40, 3), "a"), Y), "expected numbers as inputs, found <U1"),
    "ragged": (
        split([x[:, : 4 + k % 2] for k, x in enumerate(X)], Y),
        "values of one shape, found",
    ),
    "a file": (split([Path("a.png")] * 40, Y), "expected arrays or tensors, found .*Path"),
    "an array alone": ({"train": X, "test": X}, r"expected \(inputs, labels\), found an array"),
    "a dictionary": ({"train": {"x": X, "y": Y}, "test": (X, Y)}, "found dict of 2"),
    "a triple": ({"train": (X, Y, Y), "test": (X, Y)}, "an input and a label, found an array"),
    "examples of three": ({"train": [(1, 2, 3)] * 5, "test": (X, Y)}, "found tuple of 3"),
    "nothing": (None, "expected its training and test data"),
    "no test": ({"train": (X, Y)}, "expected its training and test data"),
    "two searches": (
        split(X, Y) | {"val": (X, Y), "search": (X, Y)},
        "expected one search split, found search and val",
    ),
    "empty": ({"train": (X[:0], Y[:0]), "test": (X, Y)}, r"found \[0, 3, 8, 8\] and \[0\]"),
    "other shapes": ({"train": (X, Y), "test": (X[:, :, :6], Y)}, "expected inputs of one shape"),
    "a missing file": (raises, "task.data: my_own_data:data raised FileNotFoundError: .*train.npz"),
    "a data set without its files": (
        {"train": Missing(), "test": (X, Y)},
        "train: example 3 raised FileNotFoundError: .*3.png",
    ),
    "a loader without its files": (
        {"train": torch.utils.data.DataLoader(Missing(), 2), "test": (X, Y)},
        "train: batch 1 raised FileNotFoundError: .*3.png",
    ),
    "a forbidden file": (denied, "raised PermissionError: .*Permission denied"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_learned_from_is_one_sentence(mine: ModuleType, kind: str) -> None:
    document, message = REFUSED[kind]
    with pytest.raises((DataError, TaskError)) as raised:
        load(mine, document)
    assert re.search(message, f"{raised.value.message} {raised.value.hint}")
    assert "\n" not in str(raised.value)


def test_label_maps_and_pictures_are_targets(mine: ModuleType) -> None:
    mine.network = lambda: nn.Conv2d(3, 3, 1)  # type: ignore[attr-defined]
    maps = np.broadcast_to(Y[:, None, None], (40, 8, 8)).astype("uint8")
    task = load(mine, split(X.transpose(0, 2, 3, 1), maps), metric="miou")
    assert task.test.images.shape == (10, 3, 8, 8)
    assert task.test.labels.dtype == torch.int64
    assert (task.classes, task.test.labels.tolist()) == (3, maps[:10].tolist())
    task = load(mine, split(X, X.astype("float64")), metric="mse")
    assert torch.equal(task.test.labels, task.test.images)
    assert task.test.labels.dtype == torch.float32


def test_targets_have_the_channel_that_the_loss_wants(mine: ModuleType) -> None:
    mine.network = lambda: nn.Conv2d(3, 3, 1)  # type: ignore[attr-defined]
    maps = np.broadcast_to(Y[:, None, None], (40, 8, 8)).astype("uint8")
    for given in (maps[:, None], maps[..., None]):
        assert load(mine, split(X, given), metric="miou").test.labels.tolist() == maps[:10].tolist()
    mine.network = lambda: nn.Conv2d(3, 1, 1)  # type: ignore[attr-defined]
    for metric in ("f1", "mse"):
        assert load(mine, split(X, maps > 0), metric=metric).test.labels.shape == (10, 1, 8, 8)


def test_masks_of_255_alone_are_refused(mine: ModuleType) -> None:
    mine.network = lambda: nn.Conv2d(3, 3, 1)  # type: ignore[attr-defined]
    masks = np.broadcast_to(Y[:, None, None] > 0, (40, 8, 8)) * 255
    with pytest.raises(DataError, match=r"two classes or more beside 255, .* found 0 and 255"):
        load(mine, split(X, masks), metric="miou")
    assert load(mine, split(X, masks // 255), metric="miou").classes == 2


def test_a_network_of_one_output_says_what_cross_entropy_needs(mine: ModuleType) -> None:
    mine.network = lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1))  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"as the network has 1 output, found 0, 1") as raised:
        load(mine, split(X, Y % 2))
    assert raised.value.hint.startswith("cross entropy needs an output for each class")


def test_few_examples_are_enough(mine: ModuleType) -> None:
    task = load(mine, {"train": (X[:3], Y[:3]), "test": (X[:3], Y[:3])})
    assert [len(part) for part in (task.train, task.search, task.test)] == [2, 1, 3]
    with pytest.raises(BitAllocError, match="expected more than 1 training examples"):
        load(mine, {"train": (X[:1], Y[:1]), "test": (X[:3], Y[:3])})
