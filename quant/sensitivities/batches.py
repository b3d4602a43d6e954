"""Batches: the images and labels that an estimate looks at."""

from collections.abc import Iterable

import torch

from quant.errors import BitAllocError

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images float32 `[N, C, H, W]`, labels `[N, ...]`."""


def batches_of(images: torch.Tensor, labels: torch.Tensor, size: int = 64) -> tuple[Batch, ...]:
    """Split images and their labels into batches; the last may be short."""
    return tuple(zip(images.split(size), labels.split(size), strict=True))


def keep_batches(batches: Iterable[Batch]) -> tuple[Batch, ...]:
    """Return all batches of an iterable that may be read only once, empty ones left out.

    Raises:
        BitAllocError: there are no images.
    """
    found = tuple((images, labels) for images, labels in batches if len(images))
    if not found:
        raise BitAllocError("a sensitivity needs at least one image")
    return found


def count_images(batches: Iterable[Batch]) -> int:
    """Return how many images there are."""
    return sum(len(images) for images, _ in batches)
