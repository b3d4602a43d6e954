"""MNIST-1D: the same signals everywhere, balanced, and learnable."""

import pytest
import torch

from env.errors import TaskError
from env.tasks import TaskConfig, load_task
from env.tasks.data_sets import mnist1d
from quant.errors import DataError


def test_signals_are_balanced_and_no_split_shares_one() -> None:
    task = load_task(TaskConfig(name="mnist1d"))
    splits = (task.train, task.search, task.test)
    assert [len(split) for split in splits] == [24_000, 4_000, 4_000]
    rows = []
    for split in splits:
        assert split.images.shape[1:] == (1, 40)
        assert set(torch.bincount(split.labels).tolist()) == {len(split) // 10}
        rows.append({signal.numpy().tobytes() for signal in split.images})
    assert not rows[0] & rows[1] | rows[0] & rows[2] | rows[1] & rows[2]


def test_other_signals_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist1d, "_SEED", 43)
    with pytest.raises(DataError, match=r"mnist1d: expected signals with SHA-256 50d5aa1c5b71, ma"):
        load_task(TaskConfig(name="mnist1d"))


def test_folders_and_normalisations_are_refused() -> None:
    with pytest.raises(TaskError, match=r"MNIST-1D is made from a seed and takes no folder, found"):
        load_task(TaskConfig(name="mnist1d", data="somewhere"))
    with pytest.raises(TaskError, match=r"MNIST-1D's signals stay as they are, found 0.5/0.5"):
        TaskConfig(name="mnist1d", normalize="0.5/0.5")


def test_the_signals_resemble_their_digits() -> None:
    # Means over shifts wash a digit out; the nearest mean of signals still beats guessing by far.
    task = load_task(TaskConfig(name="mnist1d"))
    spectra = torch.fft.rfft(task.train.images[:, 0]).abs()
    means = torch.stack([spectra[task.train.labels == digit].mean(0) for digit in range(10)])
    found = torch.cdist(torch.fft.rfft(task.test.images[:, 0]).abs(), means).argmin(1)
    assert float((found == task.test.labels).float().mean()) > 0.3


def test_as_images_they_are_the_same_signals() -> None:
    signals = load_task(TaskConfig(name="mnist1d")).test
    task = load_task(TaskConfig(name="mnist1d-images"))
    images = task.test.images
    assert images.shape[1:] == (1, 10, 13)
    assert torch.equal(task.test.labels, signals.labels)
    assert torch.equal(images[:, 0, 0], signals.images[:, 0, :13])
    assert torch.equal(images[:, 0, 1:, :-3], images[:, 0, :-1, 3:])  # three places later
    assert torch.equal(images[:, 0, -1, -1], signals.images[:, 0, -1])
    assert task.make_module()(images[:2]).shape == (2, 10)
