"""Images that stream are those that are decoded at once, in the same order, however read."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn

from env.tasks import Task, TaskConfig, load_task
from env.tasks.augment import Augmentation, crop, flip, flip_and_shift
from env.tasks.streaming.decoded_cache import DecodedCache
from env.tasks.streaming.file_list import FileList
from env.tasks.streaming.folder_images import FolderImages
from quant.convert import convert
from quant.errors import DataError
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.float_training import TrainConfig, train_float
from quant.retraining.integer_scores import integer_scores
from quant.retraining.loop import index_batches
from quant.retraining.retrainer import Retrainer
from quant.sensitivities import fisher_sensitivity, measured_sensitivity
from quant.sensitivities.batches import batches_of
from quant.tensors.images import in_batches, subset
from quant.testing import at_bits, prepare_calibrated
from tests.env.tasks.streaming.made_up import make_folder

_SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("images"), 400)


def tiny() -> nn.Module:
    """Return a network that is trained in no time."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(6 * 9, 10))


def load(folder: Path, **changes: Any) -> Task:
    values = {"name": "image-folder", "data": str(folder), "image_size": _SIZE, **changes}
    return load_task(TaskConfig(network="depthwise", **values))


def streamed(folder: Path, workers: int = 0) -> Task:
    """One megabyte holds a third of the 400 images' pixels."""
    task = load(folder, cache_mb=1, workers=workers)
    assert isinstance(task.train.images, FolderImages)
    return task


def test_a_folder_that_fits_is_in_memory(folder: Path) -> None:
    task = load(folder)
    assert all(isinstance(s.images, torch.Tensor) for s in (task.train, task.search, task.test))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_are_those_in_memory(folder: Path, workers: int) -> None:
    whole, task = load(folder), streamed(folder, workers)
    for there, read in ((whole.train, task.train), (whole.search, task.search)):
        assert torch.equal(there.labels, read.labels)
        assert read.images.shape == there.images.shape
        assert isinstance(there.images, torch.Tensor)
        for _ in range(2):  # of the second pass a part is kept
            parts = list(read.images.split(50))
            assert [len(part) for part in parts[:-1]] == [50] * (len(parts) - 1)
            assert torch.equal(torch.cat(parts), there.images)
        numbers = torch.tensor([3, 11, 3, 0])
        assert torch.equal(read.images[numbers], there.images[numbers])
        assert torch.equal(read.images[:7], there.images[:7])
        assert torch.equal(read.pick(numbers).images[1:3], there.images[numbers][1:3])


def order(images: Any, passes: int) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    batches = index_batches(len(images), 48, torch.Generator().manual_seed(5))
    return in_batches(images, islice(batches, passes * -(-len(images) // 48)))


def test_batches_come_in_the_order_of_the_seed_whoever_reads_them(folder: Path) -> None:
    in_memory = list(order(load(folder).train.images, 2))
    for workers in (0, 1, 2):
        found = list(order(streamed(folder, workers).train.images, 2))
        assert len(found) == len(in_memory)
        for (passed, numbers, images), (wanted, which, pixels) in zip(
            found, in_memory, strict=True
        ):
            assert passed == wanted
            assert torch.equal(numbers, which)
            assert torch.equal(images, pixels)


def test_an_order_that_was_left_can_be_gone_on_with(folder: Path) -> None:
    """What was read ahead leaves nothing behind: neither an order, nor a process, nor a draw."""
    task = streamed(folder, 2)
    before = torch.get_rng_state()
    begun = order(task.train.images, 3)
    first = [numbers for _, numbers, _ in islice(begun, 2)]
    begun.close()  # type: ignore[attr-defined]
    assert torch.equal(torch.get_rng_state(), before)
    again = [numbers for _, numbers, _ in islice(order(task.train.images, 3), 2)]
    assert all(map(torch.equal, first, again))


def test_training_and_scoring_come_to_the_same_as_in_memory(folder: Path) -> None:
    ends = []
    for task in (load(folder), streamed(folder), streamed(folder, 2)):
        module = tiny()
        recipe = TrainConfig(epochs=1, learning_rate=0.01)
        train_float(module, task.train.images, task.train.labels, recipe, seed=0)
        network = at_bits(prepare_calibrated(module.eval(), task.train.images[:32]), 4)
        config = FinetuneConfig(
            steps=3, batch_size=16, compensation_images=32, held_back_images=40, range_test=False
        )
        retrainer = Retrainer(network, task.train.images, task.train.labels, config)
        retrained = retrainer.retrain(network, seed=0)
        scores = integer_scores(convert(network), task.search.images, task.search.labels)
        batches = batches_of(task.search.images, task.search.labels, 16)
        rises = measured_sensitivity(network, batches, (2,)).rises
        fisher = fisher_sensitivity(network, batches, (2,))
        ends.append((retrained, scores.loss.tolist(), rises, fisher.rises, fisher.images))
    assert ends[0] == ends[1] == ends[2]


def test_a_digest_reads_no_image_and_sees_what_changes(folder: Path, tmp_path: Path) -> None:
    task = streamed(folder)
    assert task.train.digest == streamed(folder, 2).train.digest
    assert task.train.digest != task.search.digest
    assert task.train.digest != load(folder, cache_mb=1, normalize="none").train.digest
    other = make_folder(tmp_path, 400)
    assert task.train.digest != streamed(other).train.digest


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_one_sentence(tmp_path: Path, workers: int) -> None:
    folder = make_folder(tmp_path, 400)
    (folder / "train" / "class3" / "broken.jpg").write_bytes(b"no image")
    task = streamed(folder, workers)
    with pytest.raises(DataError, match=r"cannot read the image .*broken.jpg") as raised:
        list(task.train.images.split(64))
    assert "Traceback" not in str(raised.value)
    assert raised.value.hint


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def harm(file: Path) -> None:
        file.unlink()
        make(file)

    return harm


HARMS: dict[str, Callable[[Path], object]] = {
    "cut": _cut,
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "a text": lambda file: file.write_text("404: not found"),
    "a pipe": _replaced(os.mkfifo),
    "a folder": _replaced(Path.mkdir),
    "a link to nothing": _replaced(lambda file: file.symlink_to("nowhere")),
}


@pytest.mark.parametrize("harm", HARMS)
def test_whatever_harmed_an_image_is_one_sentence_with_its_name(tmp_path: Path, harm: str) -> None:
    folder = make_folder(tmp_path, 400)
    task = streamed(folder)
    image = folder / "val" / "class0" / "3.jpg"
    content = image.read_bytes()
    image.unlink()  # it is a link to one that others are, too
    image.write_bytes(content)
    HARMS[harm](image)
    with pytest.raises(DataError, match=r"cannot read the image .*class0/3.jpg: \w") as raised:
        list(task.test.images.split(64))
    assert "Traceback" not in str(raised.value)
    assert "Errno" not in str(raised.value)


def test_images_go_to_another_process_without_what_was_kept(folder: Path) -> None:
    task = streamed(folder)
    images = task.train.images
    read = torch.cat(list(images.split(64)))
    kept = pickle.dumps((images, task.search.images))
    assert len(kept) < 100_000, "a third of 400 images of 3 kB was kept"
    again, search = pickle.loads(kept)
    assert again.cache is search.cache
    for _ in range(2):
        assert torch.equal(torch.cat(list(again.split(64))), read)
    assert again.digest == images.digest


def test_a_worker_that_is_ended_is_one_sentence(folder: Path) -> None:
    before = set(psutil.Process().children())
    found = iter(streamed(folder, 1).train.images.split(2))
    next(found)
    (worker,) = set(psutil.Process().children()) - before
    # PyTorch raises in whatever runs when the worker ends: it must be the reading, which waits.
    os.kill(worker.pid, signal.SIGSTOP)
    ending = threading.Timer(0.5, os.kill, (worker.pid, signal.SIGKILL))
    ending.start()
    with pytest.raises(DataError, match="a process that reads images ended before its work"):
        list(found)
    ending.join()


def test_a_cache_keeps_what_came_first_within_its_bytes() -> None:
    cache = DecodedCache(10, (3, 2, 2), 4 * 12 + 11)
    pixels = torch.arange(6 * 12, dtype=torch.uint8).reshape(6, 3, 2, 2)
    cache.put(torch.tensor([7, 1, 7, 3]), pixels[[0, 1, 2, 3]])
    cache.put(torch.tensor([0, 9]), pixels[[4, 5]])
    there = cache.has(torch.arange(10))
    assert there.nonzero().flatten().tolist() == [0, 1, 3, 7]
    assert torch.equal(cache.get(torch.tensor([0, 7])), pixels[[4, 0]])


def test_names_of_any_bytes_come_back(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b c.jpg", "ü.png", "\udcff.jpg")]
    listed = FileList(files)
    assert [listed[number] for number in range(len(listed))] == files
    with pytest.raises(OSError, match="No such file"):
        _ = listed.digest


def test_subsets_of_tensors_are_tensors() -> None:
    images = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(subset(images, torch.tensor([2, 0])), images[[2, 0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 2])
def test_changes_of_images_do_not_depend_on_who_reads_them(folder: Path, workers: int) -> None:
    ends = []
    for task in (streamed(folder), streamed(folder, workers)):
        module = tiny()
        augment = Augmentation(("crop", "flip", "colour"))
        recipe = TrainConfig(epochs=2, batch_size=100, learning_rate=0.01)
        data = task.train.images, task.train.labels
        ends.append(train_float(module, *data, recipe, seed=0, augment=augment).loss)
    assert ends[0] == ends[1]


def test_the_recipe_of_before_is_two_of_the_changes() -> None:
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = flip_and_shift(images, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(found, crop(flip(images, generator), generator))
