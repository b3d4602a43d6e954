"""An image folder: `train/CLASS/*` and `val/CLASS/*`, as ImageNet is laid out.

A share of `train` is held out as the search split, the same for every class and every time; `val`
is the test split. Images are decoded once and kept in memory.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image, UnidentifiedImageError

from env.tasks.networks.catalogue import network_maker
from env.tasks.preprocessing import Preprocessing
from env.tasks.task import HELD_OUT, Split, Task
from quant.errors import DataError
from quant.retraining.float_training import TrainConfig

_NETWORK = "resnet18"
_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}
_SEARCH_SHARE = 0.1
"""Share of each class's training images that are held out, at least one."""
_SPLIT_SEED = 2026
_RESIZE = 256 / 224
"""The shorter side before the centre is cut out, in units of the image size."""
Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of each channel, of pixels in 0..1."""
_IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's training pixels."""
_NORMALISATION: dict[str, Normalisation] = {
    "efficientnet-lite0": (
        (127 / 255, 127 / 255, 127 / 255),
        (128 / 255, 128 / 255, 128 / 255),
    )
}
"""Networks whose published weights expect something else."""
_MEMORY_SHARE = 0.5
"""Share of the free memory that decoded images may take."""
_LAYOUT = "lay it out as FOLDER/train/CLASS/image.jpg and FOLDER/val/CLASS/image.jpg"


def image_folder_task(
    folder: Path | None, *, size: int, per_class: int, network: str = _NETWORK
) -> Task:
    """Load a folder; the network is a ResNet-18.

    Args:
        folder: Holds `train` and `val`.
        size: Height and width that images are brought to.
        network: Decides how images are normalised.
        per_class: Most images read of a class in each of the two parts; 0 reads all.

    Raises:
        DataError: no such folder, classes that differ, an image that cannot be read, or more
            images than fit the memory.
    """
    if folder is None:
        raise DataError("task.data: an image folder needs its path, found none", _LAYOUT)
    classes = _classes(folder / "train")
    if _classes(folder / "val") != classes:
        raise DataError(f"{folder}: expected the same classes in train and val", _LAYOUT)
    train, search = [], []
    rng = np.random.default_rng(_SPLIT_SEED)
    for label, name in enumerate(classes):
        files = _images(folder / "train" / name, per_class)
        if len(files) < 2:
            raise DataError(f"{folder / 'train' / name}: expected two images or more", _LAYOUT)
        order = rng.permutation(len(files))
        held = max(1, round(_SEARCH_SHARE * len(files)))
        search += [(files[i], label) for i in sorted(order[:held])]
        train += [(files[i], label) for i in sorted(order[held:])]
    test = [
        (file, label)
        for label, name in enumerate(classes)
        for file in _images(folder / "val" / name, per_class)
    ]
    rng.shuffle(train)  # what is calibrated and compensated on comes first, and is of all classes
    _check_memory(len(train) + len(search) + len(test), size)
    mean, deviation = _NORMALISATION.get(network, _IMAGENET)
    preprocessing = Preprocessing(
        largest=255.0,
        mean=mean,
        deviation=deviation,
        geometry=f"shorter side to {round(_RESIZE * size)} pixels, then the {size}x{size} "
        "in the middle",
    )
    return Task(
        name="image-folder",
        network=_NETWORK,
        classes=len(classes),
        make_module=network_maker(_NETWORK, in_channels=3, classes=len(classes)),
        recipe=TrainConfig(epochs=30, batch_size=64, learning_rate=0.05),
        train=_split(train, size, preprocessing),
        search=_split(search, size, preprocessing),
        test=_split(test, size, preprocessing),
        search_origin=HELD_OUT,
        labels=tuple(classes),
        preprocessing=preprocessing,
    )


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"cannot read {folder}: no such folder", _LAYOUT)
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if len(names) < 2:
        raise DataError(f"{folder}: expected a folder for each class, found {len(names)}", _LAYOUT)
    return names


def _images(folder: Path, most: int) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    if not files:
        raise DataError(f"{folder}: expected images, found none", _LAYOUT)
    return files[:most] if most else files


def _check_memory(count: int, size: int) -> None:
    needed, free = count * 3 * size * size * 4, psutil.virtual_memory().available
    if needed > _MEMORY_SHARE * free:
        raise DataError(
            f"{count} images of {size}x{size} need {needed / 1e9:.1f} GB as numbers, and "
            f"{free / 1e9:.1f} GB are free",
            "take fewer with --task.per-class N, or smaller ones with --task.image-size N",
        )


def _split(files: Sequence[tuple[Path, int]], size: int, preprocessing: Preprocessing) -> Split:
    images = torch.stack([_read(file, size, preprocessing) for file, _ in files])
    return Split(images=images, labels=torch.tensor([label for _, label in files]))


def _read(file: Path, size: int, preprocessing: Preprocessing) -> torch.Tensor:
    """Return one image, float32 `[3, size, size]`: shorter side resized, centre, normalised."""
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"cannot read the image {file}: {error}", "remove or mend it") from None
    scale = _RESIZE * size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    return preprocessing.normalise(pixels.transpose(2, 0, 1))
