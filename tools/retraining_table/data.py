"""Data of the table's networks, as `--task.data` names them; the search split is ours to choose."""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from env.tasks.data_sets.fashion_mnist import fashion_mnist_task
from env.tasks.preprocessing import Preprocessing
from env.tasks.task import Task
from quant.errors import DataError

SHARED_DATA = "BITALLOC_SHARED_DATA"
"""Environment variable: the folder of what is published and not ours to hand on."""
WEIGHTS_FILE = "resnet20-12fca82f.th"
IMAGES_FILE = "cifar10-jpeg-part.tar.gz"

Data = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""`train`, `search` and `test`: inputs float32 `[N, C, H, W]` and labels int64 `[N]`."""

_FASHION_SEARCH = 6000
_CIFAR_SEARCH = 1000
_SPLIT_SEED = 1
_CIFAR = Preprocessing(largest=255.0, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
"""Of the published weights; the figures are ImageNet's."""


def fashion_mnist() -> Data:
    """Return 50,000 training images, the next 6,000 to search on, and the published test images."""
    return _parts(fashion_mnist_task())


def raw_fashion_mnist() -> Data:
    """Return the images of `fashion_mnist` as pixels 0..255."""
    task = fashion_mnist_task()
    assert task.preprocessing is not None
    (mean,), (deviation,) = task.preprocessing.mean, task.preprocessing.deviation
    return {
        part: (((images * deviation + mean) * task.preprocessing.largest).round(), labels)
        for part, (images, labels) in _parts(task).items()
    }


def published_cifar() -> Data:
    """Return a part of CIFAR-10: its training images, 1,000 test images to search on, the others.

    Raises:
        DataError: the folder is not named, or lacks the archive.
    """
    train, rest = read_parts(shared_file(IMAGES_FILE), ("train", "val"))
    return {
        "train": train,
        "search": (rest[0][:_CIFAR_SEARCH], rest[1][:_CIFAR_SEARCH]),
        "test": (rest[0][_CIFAR_SEARCH:], rest[1][_CIFAR_SEARCH:]),
    }


def shared_file(name: str) -> Path:
    """Return a published file.

    Raises:
        DataError: the folder is not named, or lacks it.
    """
    folder = os.environ.get(SHARED_DATA, "")
    if not folder:
        raise DataError(
            f"{SHARED_DATA}: expected the folder of {name}, found no such variable",
            "see docs/retraining.md for where its files were published",
        )
    file = Path(folder) / name
    if not file.exists():
        raise DataError(f"{SHARED_DATA}: expected {name} in {folder}, found no such file")
    return file


def read_parts(archive: Path, parts: Iterable[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return images and labels of an archive of `.../PART/CLASS/IMAGE`, each part in mixed order.

    Args:
        archive: A `.tar.gz`; it is read in memory. Classes count from 0 in alphabetical order.
        parts: Which to return.
    """
    found: dict[str, list[tuple[str, str, np.ndarray]]] = {part: [] for part in parts}
    with tarfile.open(archive) as files:
        for member in files:
            *_, part, label, name = ("", "", *Path(member.name).parts)
            if part in found and (file := files.extractfile(member)) is not None:
                pixels = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                found[part].append((label, name, pixels.transpose(2, 0, 1)))
    return [_as_split(sorted(images, key=lambda item: item[:2])) for images in found.values()]


def _parts(task: Task) -> Data:
    search = task.search
    return {
        "train": (task.train.images, task.train.labels),
        "search": (search.images[:_FASHION_SEARCH], search.labels[:_FASHION_SEARCH]),
        "test": (task.test.images, task.test.labels),
    }


def _as_split(images: list[tuple[str, str, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    classes = sorted({label for label, _, _ in images})
    labels = torch.tensor([classes.index(label) for label, _, _ in images])
    inputs = _CIFAR.normalise(np.stack([pixels for _, _, pixels in images]))
    # Sorted by class, as they lie in the archive, the first 256 would all be aeroplanes.
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    return inputs[order], labels[order]
