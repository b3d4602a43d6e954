"""Batches: the images and labels that an estimate looks at."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import torch

from quant.errors import BitAllocError
from quant.tensors.images import Images, StreamedImages

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images float32 `[N, C, H, W]`, labels `[N, ...]`."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamedBatches(Collection[Batch]):
    """Batches that are read anew each time they are gone through."""

    images: StreamedImages
    labels: torch.Tensor
    size: int
    """Of a batch; the last may be short."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in order."""
        return zip(self.images.split(self.size), self.labels.split(self.size), strict=True)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.images) // self.size)

    def __contains__(self, batch: object) -> bool:
        """Return whether one of them is this very batch: none is, as each is made anew."""
        return False


Batches = tuple[Batch, ...] | StreamedBatches
"""What can be gone through again and again."""


def batches_of(images: Images, labels: torch.Tensor, size: int = 64) -> Batches:
    """Split images and their labels into batches; the last may be short."""
    if not isinstance(images, torch.Tensor):
        return StreamedBatches(images, labels, size)
    return tuple(zip(images.split(size), labels.split(size), strict=True))


def keep_batches(batches: Iterable[Batch]) -> Batches:
    """Return all batches of an iterable that may be read only once, empty ones left out.

    Raises:
        BitAllocError: there are no images.
    """
    if isinstance(batches, StreamedBatches) and len(batches):
        return batches
    found = tuple((images, labels) for images, labels in batches if len(images))
    if not found:
        raise BitAllocError("a sensitivity needs at least one image")
    return found


def count_images(batches: Iterable[Batch]) -> int:
    """Return how many images there are."""
    if isinstance(batches, StreamedBatches):
        return len(batches.images)
    return sum(len(images) for images, _ in batches)
