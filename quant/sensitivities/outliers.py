"""Outliers: a channel or an input out of all proportion takes the codes from all the others."""

from dataclasses import dataclass

import torch

from quant.network import QuantizedNetwork
from quant.tensors.moving import fetch

_PROPORTION = 1000.0
"""Times the median of its neighbours: with 8 bits, what is usual would share one code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlier:
    """One of many channels, or inputs, that reaches far beyond the others."""

    what: str
    reach: float
    """Its largest magnitude."""
    usual: float
    """The median of those beside it."""

    def __str__(self) -> str:
        """Return a sentence for people."""
        return (
            f"{self.what} reaches {self.reach:.3g}, {self.reach / self.usual:.3g} times the median "
            f"of those beside it ({self.usual:.3g}): all of them share one quantizer, so that few "
            "codes are left for the others. Look for a wrong value there, or scale it"
        )


@torch.no_grad()
def find_outliers(network: QuantizedNetwork, images: torch.Tensor) -> tuple[Outlier, ...]:
    """Return inputs and channels of layers' outputs that are out of all proportion.

    Args:
        network: Run in float, whatever its allocation.
        images: float32 `[N, ...]`, those that it was calibrated on.
    """
    found: list[Outlier] = []

    def look(what: str, reaches: torch.Tensor) -> None:
        """Keep the largest of reaches `[K]` where it is an outlier."""
        usual, largest = float(reaches.median()), float(reaches.max())
        if len(reaches) > 1 and usual > 0 and largest >= _PROPORTION * usual:
            index = int(reaches.argmax())
            found.append(Outlier(what=what.format(index), reach=largest, usual=usual))

    def note(layer: str, value: torch.Tensor) -> torch.Tensor:
        reaches = fetch(value.transpose(0, 1).flatten(1).abs().amax(1))
        look(f"channel {{}} of the output of {layer}", reaches)
        return value

    look("input {} of those calibrated on", images.flatten(1).abs().amax(1))
    network.float_outputs(images, computed=note)
    return tuple(found)
