"""Changes of training images that leave their labels true."""

import torch
from torch.nn import functional

_SHIFT = 4
"""Pixels by which an image is moved at most. Source: He et al. 2016, section 4.2."""


def flip_and_shift(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images `[N, C, H, W]`, each mirrored or not and moved by up to `_SHIFT` pixels."""
    count, _, height, width = images.shape
    mirrored = torch.rand(count, generator=generator) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    padded = functional.pad(images, (_SHIFT,) * 4)
    offsets = torch.randint(2 * _SHIFT + 1, (2, count), generator=generator)
    rows = (offsets[0][:, None] + torch.arange(height))[:, None, :, None]
    columns = (offsets[1][:, None] + torch.arange(width))[:, None, None, :]
    picked: torch.Tensor = padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(images.shape[1])[:, None, None],
        rows,
        columns,
    ]
    return picked
