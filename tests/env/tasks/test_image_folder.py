"""An image folder: classes by name, a held-out share of each, images normalised."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from env.tasks import Task, TaskConfig, load_task
from quant.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 3)):
        for number, name in enumerate(("cat", "dog", "eel")):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(80 * number, 80 * number + 90, (40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{index}.png")
    return tmp_path


def load(folder: Path, **changes: object) -> Task:
    values = {"name": "image-folder", "data": str(folder), "image_size": 32, **changes}
    return load_task(TaskConfig(**values))  # type: ignore[arg-type]


def test_every_class_is_split_and_brighter_than_the_one_before(folder: Path) -> None:
    task = load(folder)
    assert task.classes == 3
    assert [len(split) for split in (task.train, task.search, task.test)] == [27, 3, 9]
    assert task.search.labels.tolist() == [0, 1, 2]
    assert task.train.images.shape[1:] == (3, 32, 32)
    means = [float(task.test.images[task.test.labels == label].mean()) for label in range(3)]
    assert means[0] < means[1] < means[2]
    again = load(folder)
    assert bool((again.search.images == task.search.images).all())
    assert len(load(folder, per_class=4).train) == 9


def test_training_images_of_all_classes_come_first(folder: Path) -> None:
    train = load(folder).train
    first = train.labels[:9]  # of the 27 that a folder lists class by class
    assert set(first.tolist()) == {0, 1, 2}
    means = (train.images.mean(1) * 0.225 + 0.45).mean((1, 2)) * 255
    brightness = torch.tensor([45.0, 125.0, 205.0])
    nearest = (means[:, None] - brightness).abs().argmin(1)
    assert torch.equal(nearest, train.labels), "images keep their labels"
    assert torch.equal(load(folder).train.labels, train.labels), "always so"


def test_a_network_gets_the_images_its_weights_expect(folder: Path) -> None:
    plain, lite = load(folder), load(folder, network="efficientnet-lite0")
    pixels = plain.test.images[0, 0] * 0.229 + 0.485
    assert torch.allclose(lite.test.images[0, 0], (pixels * 255 - 127) / 128, atol=1e-5)


def test_wrong_folders_say_how_to_lay_them_out(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs its path"):
        load_task(TaskConfig(name="image-folder"))
    (folder / "val" / "cow").mkdir()
    with pytest.raises(DataError, match="the same classes") as raised:
        load(folder)
    assert "FOLDER/train/CLASS" in raised.value.hint
    (folder / "val" / "cow").rmdir()
    (folder / "train" / "dog" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*broken.jpg"):
        load(folder)
    with pytest.raises(DataError, match="GB are free"):
        load(folder, image_size=200_000)
