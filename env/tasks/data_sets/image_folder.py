"""An image folder: `train/CLASS/*` and `val/CLASS/*`, as ImageNet is laid out.

Where there are both `val` and `test`, `val` is the search split. Else a share of `train` is held
out as that, the same for every class and every time. What fits is decoded once and kept in memory;
of a larger folder images are read when their turn comes, and give the same numbers.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import torch

from env.tasks.data_sets.image_file import ENDINGS, Geometry, read_image
from env.tasks.networks.catalogue import network_maker
from env.tasks.preprocessing import IMAGENET, Normalisation, Preprocessing
from env.tasks.streaming.decoded_cache import DecodedCache
from env.tasks.streaming.file_list import FileList
from env.tasks.streaming.folder_images import FolderImages
from env.tasks.streaming.loading import usual_workers
from env.tasks.task import HELD_OUT, Split, Task
from quant.errors import DataError
from quant.retraining.float_training import TrainConfig

_NETWORK = "resnet18"
_TRAIN, _VAL, _TEST = ("train", "training"), ("val", "valid", "validation"), ("test",)
"""What the folders of the parts may be called, in any case."""
_SEARCH_SHARE = 0.1
"""Share of each class's training images that are held out, at least one."""
_SPLIT_SEED = 2026
_NORMALISATION: dict[str, Normalisation] = {
    "efficientnet-lite0": ((127 / 255,) * 3, (128 / 255,) * 3)
}
"""Networks whose published weights expect something else than ImageNet's figures."""
_MEMORY_SHARE = 0.5
"""Share of the free memory that the images of one step may take."""
_TOGETHER = 64
"""Images of one step."""
_CHANNELS = 3
_MEGA = 10**6
_LAYOUT = "lay it out as FOLDER/train/CLASS/image.jpg and FOLDER/val/CLASS/image.jpg"
_SHOWN = 4
"""Kinds of passed-over files that a note names."""

Listed = list[tuple[Path, int]]
"""Files with their labels."""


@dataclass
class _PassedOver:
    """What lay in the folder and is no image, counted by ending."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.counts:
            return ()
        kinds = [f"{count} {kind}" for kind, count in self.counts.most_common(_SHOWN)]
        more = ", ..." if len(self.counts) > _SHOWN else ""
        return (f"passed over as no images: {', '.join(kinds)}{more}",)


def image_folder_task(
    folder: Path | None,
    *,
    geometry: Geometry,
    per_class: int,
    network: str = "",
    normalisation: Normalisation | None = None,
    cache_mb: int = 1000,
    workers: int | None = None,
) -> Task:
    """Load a folder; the network is a ResNet-18.

    Args:
        folder: Holds `train`, and `val` or `test` or both.
        geometry: How images get one size.
        network: Decides how images are normalised where `normalisation` is None.
        per_class: Most images read of a class in each part; 0 reads all.
        normalisation: Mean and deviation of each channel, of pixels in 0..1.
        cache_mb: Megabytes that images may take. Where all of them do not fit as numbers they are
            streamed, and this much of their pixels is kept.
        workers: Processes that decode streamed images; None for as many as are usual here.

    Raises:
        DataError: no such folder, classes that differ, an image that cannot be read, or images too
            large for the memory.
    """
    if folder is None:
        raise DataError("task.data: an image folder needs its path, found none", _LAYOUT)
    trained, val, tested = _parts(folder)
    passed = _PassedOver()
    classes = _classes(trained, passed)
    train = _listed(trained, classes, per_class, passed)
    test = _listed(tested, classes, per_class, passed)
    rng = np.random.default_rng(_SPLIT_SEED)
    if val is None:
        train, search = _hold_out(train, len(classes), rng)
    else:
        search = _listed(val, classes, per_class, passed)
    rng.shuffle(train)  # what is calibrated and compensated on comes first, and is of all classes
    _check_memory(geometry.size)
    mean, deviation = normalisation or _NORMALISATION.get(network, IMAGENET)
    preprocessing = Preprocessing(
        largest=255.0, mean=mean, deviation=deviation, geometry=geometry.words
    )
    parts, limit_bytes = (train, search, test), cache_mb * _MEGA
    if sum(map(len, parts)) * _image_bytes(geometry.size) <= limit_bytes:
        splits = [_split(files, geometry, preprocessing) for files in parts]
    else:
        count = usual_workers() if workers is None else workers
        splits = _streamed(parts, geometry, preprocessing, limit_bytes, count)
    return Task(
        name="image-folder",
        network=_NETWORK,
        classes=len(classes),
        make_module=network_maker(_NETWORK, in_channels=3, classes=len(classes)),
        recipe=TrainConfig(epochs=30, batch_size=64, learning_rate=0.05),
        train=splits[0],
        search=splits[1],
        test=splits[2],
        search_origin=HELD_OUT if val is None else f"the folder {val.name}, not trained on",
        labels=tuple(classes),
        preprocessing=preprocessing,
        notes=passed.notes,
    )


def _parts(folder: Path) -> tuple[Path, Path | None, Path]:
    """Return the folders that are trained on, searched on (None: held out), and tested on."""
    names = {path.name.lower(): path for path in _folders(folder)}

    def find(words: Sequence[str]) -> Path | None:
        found = [names[word] for word in words if word in names]
        if len(found) > 1:
            raise DataError(
                f"{folder}: expected one of {', '.join(words)}, found {found[0].name} and "
                f"{found[1].name}",
                _LAYOUT,
            )
        return found[0] if found else None

    train, val, test = find(_TRAIN), find(_VAL), find(_TEST)
    if train is None or (val is None and test is None):
        missing = "val or test" if train else "train"
        shown = ", ".join(sorted(names)[:_SHOWN]) or "no folder"
        raise DataError(f"{folder}: expected a folder {missing}, found {shown}", _LAYOUT)
    if test is None:
        assert val is not None
        return train, None, val
    return train, val, test


def _folders(folder: Path) -> list[Path]:
    """Return the folders in one, hidden ones left out."""
    try:
        inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError as error:
        reason = "no such folder" if isinstance(error, FileNotFoundError) else error.strerror
        raise DataError(f"cannot read {folder}: {reason}", _LAYOUT) from None
    return sorted(path for path in inside if not _is_hidden(path.name))


def _classes(folder: Path, passed: _PassedOver) -> list[str]:
    names = [path.name for path in _folders(folder)]
    hidden = sum(path.is_dir() and _is_hidden(path.name) for path in folder.iterdir())
    passed.counts.update({"hidden folder": hidden} if hidden else {})
    if len(names) < 2:
        raise DataError(f"{folder}: expected a folder for each class, found {len(names)}", _LAYOUT)
    return names


def _listed(folder: Path, classes: Sequence[str], most: int, passed: _PassedOver) -> Listed:
    """Return a part's images, class by class, at most `most` of each where it is not 0."""
    found = {path.name for path in _folders(folder)}
    if found != set(classes):
        lacks, more = sorted(set(classes) - found), sorted(found - set(classes))
        what = f"lacks {lacks[0]}" if lacks else f"has {more[0]} as well"
        raise DataError(f"{folder}: expected the same classes as for training: it {what}", _LAYOUT)
    files: Listed = []
    for label, name in enumerate(classes):
        images = _images(folder / name, passed)
        files += [(file, label) for file in (images[:most] if most else images)]
    return files


def _images(folder: Path, passed: _PassedOver) -> list[Path]:
    """Return the images of a class, those of folders within it too."""

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename}: {error.strerror}", "make it readable")

    images = []
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in names:
            file = Path(place, name)
            if _is_hidden(name):
                passed.counts["hidden"] += 1
            elif file.suffix.lower() not in ENDINGS:
                passed.counts[file.suffix or "without an ending"] += 1
            else:
                images.append(file)
    if not images:
        raise DataError(f"{folder}: expected images, found none", _LAYOUT)
    return sorted(images)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _hold_out(files: Listed, classes: int, rng: np.random.Generator) -> tuple[Listed, Listed]:
    """Return what is left to train on, and a share of each class."""
    train: Listed = []
    search: Listed = []
    for label in range(classes):
        own = [entry for entry in files if entry[1] == label]
        if len(own) < 2:
            raise DataError(f"{own[0][0].parent}: expected two images or more", _LAYOUT)
        order = rng.permutation(len(own))
        held = max(1, round(_SEARCH_SHARE * len(own)))
        search += [own[i] for i in sorted(order[:held])]
        train += [own[i] for i in sorted(order[held:])]
    return train, search


def _image_bytes(size: int) -> int:
    """Return what one image takes as numbers."""
    return _CHANNELS * size * size * 4


def _check_memory(size: int) -> None:
    needed, free = _TOGETHER * _image_bytes(size), psutil.virtual_memory().available
    if needed > _MEMORY_SHARE * free:
        raise DataError(
            f"{_TOGETHER} images of {size}x{size} need {needed / 1e9:.1f} GB as numbers, and "
            f"{free / 1e9:.1f} GB are free",
            "take smaller ones with --task.image-size N",
        )


def _split(files: Listed, geometry: Geometry, preprocessing: Preprocessing) -> Split:
    images = torch.stack([preprocessing.normalise(read_image(file, geometry)) for file, _ in files])
    return Split(images=images, labels=torch.tensor([label for _, label in files]))


def _streamed(
    parts: Sequence[Listed],
    geometry: Geometry,
    preprocessing: Preprocessing,
    limit_bytes: int,
    workers: int,
) -> list[Split]:
    """Return splits of which nothing is read yet, and which share what is kept."""
    files = FileList([file for part in parts for file, _ in part])
    pixels = (_CHANNELS, geometry.size, geometry.size)
    images = FolderImages(
        files=files,
        pixels=pixels,
        read=partial(read_image, geometry=geometry),
        preprocessing=preprocessing,
        cache=DecodedCache(len(files), pixels, limit_bytes),
        workers=workers,
        numbers=torch.arange(len(files)),
    )
    labels = torch.tensor([label for part in parts for _, label in part])
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    whole = Split(images=images, labels=labels)
    return [whole.pick(torch.arange(first, last)) for first, last in pairwise(ends)]
