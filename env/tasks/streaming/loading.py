"""Loading: batches of pixels in a given order, decoded ahead by processes beside this one."""

import os
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from env.tasks.streaming.file_list import FileList
from quant.errors import DataError

_MOST_WORKERS = 4
"""Where nobody says how many: what one process trains on, so many decode with ease."""
_AHEAD = 2
"""Batches that each worker has ready at most."""

_BY_LOADER = "DataLoader worker"
"""What PyTorch's sentences about a worker that ended begin with; they name the signal."""
_HEARD_OF_S = 0.5
"""In which the system tells of a process that ended."""

Read = Callable[[os.PathLike[str]], npt.NDArray[np.uint8]]
"""From a file to pixels `[C, H, W]`."""


def usual_workers() -> int:
    """Return how many processes decode where nobody says: none on a single core."""
    return min(_MOST_WORKERS, len(os.sched_getaffinity(0)) - 1)


class PixelBatches(Dataset[torch.Tensor | DataError]):
    """Pixels of the images of a batch, asked for by their numbers."""

    def __init__(self, files: FileList, shape: tuple[int, ...], read: Read) -> None:
        """Keep the files; `shape` is that of what `read` returns."""
        self._files, self._shape, self._read = files, shape, read

    def __getitem__(self, numbers: torch.Tensor) -> torch.Tensor | DataError:
        """Return pixels uint8 `[M, C, H, W]`, or why there are none: a loader would rewrite it."""
        pixels = torch.empty((len(numbers), *self._shape), dtype=torch.uint8)
        try:
            for place, number in enumerate(numbers.tolist()):
                pixels[place] = torch.from_numpy(np.array(self._read(self._files[number])))
        except DataError as error:
            return error
        return pixels


def load(
    batches: PixelBatches, numbers: Iterable[torch.Tensor], workers: int
) -> Iterator[torch.Tensor]:
    """Yield the pixels of one batch after another.

    Args:
        batches: What decodes.
        numbers: Of each batch's images; asked for before their turn comes.
        workers: Processes that decode; 0 decodes here, when a batch is asked for.

    Raises:
        DataError: an image cannot be read, or a worker was ended from outside.
    """
    loader: DataLoader[torch.Tensor | DataError] = DataLoader(
        batches,
        sampler=numbers,
        batch_size=None,  # each item is a batch already
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # it draws seeds for its workers, from everybody's by default
    )
    found = iter(loader)
    while True:
        try:
            pixels = next(found)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            told = _told(error) if workers else error
            if not workers or (isinstance(told, RuntimeError) and _BY_LOADER not in str(told)):
                raise
            reason = " ".join(str(told).split())
            raise DataError(
                f"a process that reads images ended before its work: {reason}",
                "free memory, or read with fewer by --task.workers N",
            ) from None
        if isinstance(pixels, DataError):
            raise pixels
        yield pixels


def _told(error: Exception) -> Exception:
    """Return what PyTorch says of a worker whose connection broke; the error where it says nothing.

    It raises, in whatever runs then, when the system tells of the worker's end: a moment after the
    connection broke. Nothing else must be running.
    """
    if isinstance(error, RuntimeError):
        return error
    try:
        time.sleep(_HEARD_OF_S)
    except RuntimeError as told:
        return told
    return error
