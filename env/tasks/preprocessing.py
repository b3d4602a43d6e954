"""Preprocessing: from pixels as files have them to what the network reads."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from env.errors import TaskError

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, or of all, of pixels in 0..1."""
IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of ImageNet's training pixels; most published weights expect them."""
_NONE: Normalisation = ((0.0,), (1.0,))
_FORM = "none, imagenet, or MEAN/DEVIATION as 0.5/0.25 or 0.49,0.48,0.45/0.25,0.24,0.26"


def parse_normalisation(text: str) -> Normalisation:
    """Return what `task.normalize` means.

    Raises:
        TaskError: it is none of the forms.
    """
    if text in ("none", "imagenet"):
        return _NONE if text == "none" else IMAGENET
    try:
        mean, deviation = (tuple(map(float, part.split(","))) for part in text.split("/"))
    except ValueError:
        raise TaskError(f"task.normalize: expected {_FORM}, found {text!r}") from None
    if len(mean) != len(deviation):
        raise TaskError(
            f"task.normalize: expected a deviation for each mean, found {len(mean)} and "
            f"{len(deviation)}"
        )
    if not all(0 <= value <= 1 for value in mean) or not all(0 < v <= 1 for v in deviation):
        raise TaskError(
            f"task.normalize: expected numbers of pixels in 0..1, found {text}",
            "divide those of pixels in 0..255 by 255",
        )
    return mean, deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """`(pixel / largest - mean) / deviation`, channel by channel, on `[C, H, W]`."""

    largest: float
    """Largest value of a pixel as files have it."""
    mean: tuple[float, ...] = (0.0,)
    """Of each channel, in 0..1."""
    deviation: tuple[float, ...] = (1.0,)
    geometry: str = ""
    """How an image gets its size, in words; empty where it has it already."""

    def normalise(self, pixels: npt.NDArray[Any]) -> torch.Tensor:
        """Return float32 inputs of pixels `[..., C, H, W]` as files have them."""
        scaled = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)) / self.largest
        mean, deviation = (torch.tensor(v)[:, None, None] for v in (self.mean, self.deviation))
        inputs: torch.Tensor = (scaled - mean) / deviation
        return inputs

    def with_normalisation(
        self, normalisation: Normalisation | None, channels: int
    ) -> "Preprocessing":
        """Return it with other figures, itself where there are none.

        Raises:
            TaskError: they are of another number of channels.
        """
        if normalisation is None:
            return self
        mean, deviation = normalisation
        if len(mean) not in (1, channels):
            raise TaskError(
                f"task.normalize: expected a mean for each of {channels} channels, found "
                f"{len(mean)}"
            )
        return replace(self, mean=mean, deviation=deviation)
