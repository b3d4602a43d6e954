"""The data of the table's networks, where they are, and an archive as the published one."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from env.tasks.data_sets.fashion_mnist import FASHION_MNIST_FOLDER
from quant.errors import DataError
from tools.retraining_table.data import (
    IMAGES_FILE,
    SHARED_DATA,
    fashion_mnist,
    published_cifar,
    raw_fashion_mnist,
    read_parts,
    shared_file,
)
from tools.retraining_table.networks import published_resnet20

COLOURS = {"black": 0, "grey": 100, "white": 255}

with_fashion_mnist = pytest.mark.skipif(
    not FASHION_MNIST_FOLDER.is_dir(),
    reason=f"no {FASHION_MNIST_FOLDER}: apt-get install dataset-fashion-mnist",
)
with_published = pytest.mark.skipif(
    not os.environ.get(SHARED_DATA), reason=f"{SHARED_DATA} does not name a folder"
)


def _add(archive: tarfile.TarFile, name: str, value: int) -> None:
    content = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(content, "png")
    member = tarfile.TarInfo(name)
    member.size = content.tell()
    content.seek(0)
    archive.addfile(member, content)


def test_an_archive_is_read_by_classes_and_mixed(tmp_path: Path) -> None:
    file = tmp_path / "images.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for number in range(20):
            for name, value in COLOURS.items():
                _add(archive, f"images/train/{name}/{number:04}.png", value)
        _add(archive, "images/val/white/0000.png", 255)
    (images, labels), (rest, _) = read_parts(file, ("train", "val"))
    assert images.shape == (60, 3, 32, 32)
    assert rest.shape == (1, 3, 32, 32)
    assert torch.bincount(labels).tolist() == [20, 20, 20]
    assert len(labels[:10].unique()) > 1  # what a network is calibrated to is of every class
    mean, deviation = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    for label, value in enumerate(COLOURS.values()):
        torch.testing.assert_close(
            images[labels == label].mean((0, 2, 3)), (value / 255 - mean) / deviation
        )


def test_a_missing_folder_or_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SHARED_DATA, raising=False)
    with pytest.raises(DataError, match=f"{SHARED_DATA}: expected the folder of {IMAGES_FILE}"):
        published_cifar()
    monkeypatch.setenv(SHARED_DATA, str(tmp_path))
    with pytest.raises(DataError, match=f"expected {IMAGES_FILE} in {tmp_path}"):
        shared_file(IMAGES_FILE)


@with_fashion_mnist
def test_raw_pixels_are_those_of_the_files() -> None:
    parts, raw = fashion_mnist(), raw_fashion_mnist()
    assert {part: len(labels) for part, (_, labels) in parts.items()} == {
        "train": 50_000,
        "search": 6_000,
        "test": 10_000,
    }
    for part, (images, labels) in raw.items():
        assert torch.equal(images, images.round())
        assert (float(images.min()), float(images.max())) == (0.0, 255.0)
        torch.testing.assert_close((images / 255 - 0.286) / 0.353, parts[part][0])
        assert torch.equal(labels, parts[part][1])


@with_published
def test_the_published_network_is_as_good_as_its_source_says() -> None:
    parts, module = published_cifar(), published_resnet20()
    assert {part: len(labels) for part, (_, labels) in parts.items()} == {
        "train": 10_000,
        "search": 1_000,
        "test": 1_000,
    }
    correct = 0
    with torch.no_grad():
        for part in ("search", "test"):
            for images, labels in zip(*(x.split(250) for x in parts[part]), strict=True):
                correct += int((module(images).argmax(1) == labels).sum())
    assert correct / 2000 == pytest.approx(0.8055, abs=0.002)  # decoders of JPEG differ a little
