"""Preprocessing: from pixels as files have them to what the network reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch


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
