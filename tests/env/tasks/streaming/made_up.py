"""A made-up image folder: many names, few files."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

_FILES = 100


def make_folder(root: Path, images: int, *, classes: int = 10, size: int = 32) -> Path:
    """Write `train` and `val` of so many images together, hard links to a hundred files.

    A tenth of them is in `val`. What is in an image says nothing of its class.
    """
    kept = root / "kept"
    kept.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(_FILES):
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(kept / f"{number}.jpg", quality=80)
    for part, share in (("train", 9), ("val", 1)):
        for label in range(classes):
            place = root / "folder" / part / f"class{label}"
            place.mkdir(parents=True)
            for number in range(images * share // 10 // classes):
                source = kept / f"{(number * classes + label) % _FILES}.jpg"
                os.link(source, place / f"{number}.jpg")
    return root / "folder"
