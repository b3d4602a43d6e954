"""Images: a tensor of them, or what reads them from the disk when they are asked for."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

import torch

Numbered: TypeAlias = tuple[int, torch.Tensor]
"""How often all images were seen before a batch, and the numbers of its images, int64."""


class StreamedImages(Protocol):
    """Images that are not all in memory; what is picked of them is a tensor, as of a tensor.

    `env.tasks.streaming` reads those of a folder.
    """

    @property
    def shape(self) -> torch.Size:
        """As of a tensor of all of them, `[N, C, H, W]`."""

    @property
    def digest(self) -> str:
        """Differs where images do; nothing is read for it but names, sizes and times."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, which: slice | torch.Tensor) -> torch.Tensor:
        """Return some images, by a slice or by numbers int64 `[M]`, float32 `[M, C, H, W]`."""

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield all images in order, read ahead; the last batch may be short."""

    def subset(self, numbers: torch.Tensor) -> "StreamedImages":
        """Return some images, by numbers int64 `[M]`; nothing is read."""

    def ahead(
        self, batches: Iterable[Numbered]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield each batch with its images, in this order; the next ones are read meanwhile."""


Images: TypeAlias = torch.Tensor | StreamedImages


def subset(images: Images, numbers: torch.Tensor) -> Images:
    """Return some images, by numbers int64 `[M]`; of streamed ones none is read."""
    return images[numbers] if isinstance(images, torch.Tensor) else images.subset(numbers)


def in_batches(
    images: Images, batches: Iterable[Numbered]
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Yield each batch with its images, float32 `[M, ...]`, in the order of the batches."""
    if not isinstance(images, torch.Tensor):
        yield from images.ahead(batches)
        return
    for passed, numbers in batches:
        yield passed, numbers, images[numbers]
