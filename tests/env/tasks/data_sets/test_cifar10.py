"""CIFAR-10 on a small made-up set in the published format."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from env.errors import TaskError
from env.tasks import TaskConfig, load_task
from env.tasks.augment import flip_and_shift
from env.tasks.task import Task
from quant.errors import DataError
from quant.network import prepare

PER_BATCH = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        write(tmp_path / name, rng.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8))
    return tmp_path


def write(path: Path, data: object, labels: object = None) -> None:
    labels = [index % 10 for index in range(PER_BATCH)] if labels is None else labels
    batch = {b"batch_label": b"made up", b"labels": labels, b"data": data, b"filenames": [b"a.png"]}
    path.write_bytes(pickle.dumps(batch, protocol=2))


def load(folder: Path) -> Task:
    return load_task(TaskConfig(name="cifar10", data=str(folder)))


def test_batches_become_splits(folder: Path) -> None:
    task = load(folder)
    assert [len(split) for split in (task.train, task.search, task.test)] == [80, 20, 20]
    document = pickle.loads((folder / "data_batch_5").read_bytes(), encoding="bytes")
    red = document[b"data"][3].reshape(3, 32, 32)[0] / 255.0
    assert torch.allclose(
        task.search.images[3, 0], torch.from_numpy((red - 0.4914) / 0.2470).float(), atol=1e-6
    )
    layers = prepare(task.make_module().eval(), task.example).layers
    assert task.network == "resnet20"
    assert len(layers) == 22  # nineteen convolutions, two shortcuts, and the last layer


def test_published_weights_may_expect_other_figures(folder: Path) -> None:
    plain = load_task(TaskConfig(name="cifar10", data=str(folder), normalize="none"))
    told = load_task(TaskConfig(name="cifar10", data=str(folder), normalize="imagenet"))
    assert 0 <= float(plain.test.images.min()) <= float(plain.test.images.max()) <= 1
    red = (plain.test.images[:, 0] - 0.485) / 0.229
    assert torch.allclose(told.test.images[:, 0], red)
    with pytest.raises(TaskError, match="a mean for each of 3 channels, found 2"):
        load_task(TaskConfig(name="cifar10", data=str(folder), normalize="0.5,0.5/0.2,0.2"))


def test_damaged_and_foreign_files_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match="CIFAR-10 needs the folder"):
        load_task(TaskConfig(name="cifar10"))
    good = np.zeros((PER_BATCH, 3072), np.uint8)
    path = folder / "test_batch"
    wrong = {
        "expected 20 images of 3072 bytes": (good[:, :99], None),
        "an array of bytes": (good.astype(np.float32), None),
        "labels from 0 to 9": (good, [10] * PER_BATCH),
    }
    for reason, (data, labels) in wrong.items():
        write(path, data, labels)
        with pytest.raises(DataError, match=reason) as raised:
            load(folder)
        assert str(path) in raised.value.message
    write(path, good)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="damaged or no batch file"):
        load(folder)
    path.unlink()
    with pytest.raises(DataError, match="cannot read the data file"):
        load(folder)


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_file_is_never_executed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "test_batch").write_bytes(pickle.dumps(_Harm()))
    with pytest.raises(DataError, match="which no batch file needs"):
        load(folder)
    assert not (folder / "harmed").exists()


def test_images_are_mirrored_and_moved_by_the_generator() -> None:
    images = torch.arange(64 * 3 * 12 * 12, dtype=torch.float32).reshape(64, 3, 12, 12) + 1
    changed = flip_and_shift(images, torch.Generator().manual_seed(0))
    again = flip_and_shift(images, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)
    assert changed.shape == images.shape
    for before, after in zip(images, changed, strict=True):
        centre = after[:, 4:8, 4:8]
        # What moved by four pixels at most shows a patch of the image or of its mirror.
        patches = [
            picture[:, row : row + 4, column : column + 4]
            for picture in (before, before.flip(2))
            for row in range(9)
            for column in range(9)
        ]
        assert sum(torch.equal(centre, patch) for patch in patches) == 1
