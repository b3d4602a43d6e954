"""FolderImages: files that are decoded when their turn comes, and pixels that are kept."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from env.tasks.preprocessing import Preprocessing
from env.tasks.streaming.decoded_cache import DecodedCache
from env.tasks.streaming.file_list import FileList
from env.tasks.streaming.loading import PixelBatches, Read, load
from quant.errors import DataError
from quant.tensors.images import Numbered

_TOGETHER = 64
"""Images that one request for many is read in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderImages:
    """Images of files as `quant.tensors.images.StreamedImages` describes them.

    Values are those that decoding everything at once would give, whoever decodes and whatever is
    kept: `[C, H, W]` pixels, normalised.
    """

    files: FileList
    pixels: tuple[int, ...]
    """Shape of one image, `(C, H, W)`."""
    read: Read
    preprocessing: Preprocessing
    cache: DecodedCache
    workers: int
    """Processes that decode."""
    numbers: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    """Of the files, int64 `[N]`."""

    @property
    def shape(self) -> torch.Size:
        """As of a tensor of all of them, `[N, C, H, W]`."""
        return torch.Size((len(self.numbers), *self.pixels))

    @cached_property
    def digest(self) -> str:
        """Differs where files, their order or what is made of pixels do."""
        try:
            files = self.files.digest
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
        digest = hashlib.sha256(f"{files} {self.pixels} {self.preprocessing}".encode())
        digest.update(self.numbers.numpy().tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.numbers)

    def __getitem__(self, which: slice | torch.Tensor) -> torch.Tensor:
        """Return some images, by a slice or by numbers int64 `[M]`."""
        picked = self.subset(torch.arange(len(self))[which])
        parts = list(picked.split(_TOGETHER))
        return torch.cat(parts) if parts else torch.zeros((0, *self.pixels))

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield all images in order, read ahead; the last batch may be short."""
        if not len(self):
            return
        batches = ((0, numbers) for numbers in torch.arange(len(self)).split(size))
        for _, _, images in self.ahead(batches):
            yield images

    def subset(self, numbers: torch.Tensor) -> "FolderImages":
        """Return some images, which share what is kept."""
        return replace(self, numbers=self.numbers[numbers])

    def ahead(
        self, batches: Iterable[Numbered]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield each batch with its images, in this order; the next ones are read meanwhile."""
        planned: deque[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = deque()

        def missing() -> Iterator[torch.Tensor]:
            for passed, places in batches:
                wanted = self.numbers[places]
                there = self.cache.has(wanted)
                planned.append((passed, places, wanted, there))
                yield wanted[~there]

        decoder = PixelBatches(self.files, self.pixels, self.read)
        for read in load(decoder, missing(), self.workers):
            passed, places, wanted, there = planned.popleft()
            yield passed, places, self._joined(wanted, there, read)

    def _joined(
        self, wanted: torch.Tensor, there: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """Return images, normalised, of which some are kept and the others were read now."""
        pixels = torch.empty((len(wanted), *self.pixels), dtype=torch.uint8)
        pixels[there] = self.cache.get(wanted[there])
        pixels[~there] = read
        self.cache.put(wanted[~there], read)
        return self.preprocessing.normalise(np.asarray(pixels))
