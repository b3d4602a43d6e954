"""An autoencoder that halves images and a segmentation of squares, each with made-up data."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

_SIDE = 12
_IGNORED = 255

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def autoencoder() -> nn.Module:
    """Return `[N, 1, 12, 12]` to `[N, 1, 6, 6]`."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    )


def segmentation() -> nn.Module:
    """Return `[N, 1, 12, 12]` to scores of three classes."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 3, 3, padding=1),
    )


def smaller() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return images and the means of their pixels, four by four."""
    return {
        name: (torch.from_numpy(images), nn.functional.avg_pool2d(torch.from_numpy(images), 2))
        for name, (images, _) in squares().items()
    }


def squares() -> dict[str, Arrays]:
    """Return images of a grey and a white square on noise, and what each pixel belongs to."""
    return {"train": _draw(300, 0), "search": _draw(100, 1), "test": _draw(100, 2)}


def _draw(count: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    images = rng.normal(0.0, 0.1, (count, 1, _SIDE, _SIDE)).astype("float32")
    maps = np.zeros((count, _SIDE, _SIDE), np.int64)
    for image, labels in zip(images, maps, strict=True):
        for kind in (1, 2):
            top, left = rng.integers(0, _SIDE - 4, 2)
            image[0, top : top + 4, left : left + 4] = 0.5 * kind
            labels[top : top + 4, left : left + 4] = kind
    maps[:, 0] = _IGNORED
    return images, maps


def halved(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return how many images of a hundred differ by less than 0.05 in the mean."""
    return (outputs - targets).abs().flatten(1).mean(1) < 0.05


halved.more_is_better, halved.unit = True, "%"  # type: ignore[attr-defined]
