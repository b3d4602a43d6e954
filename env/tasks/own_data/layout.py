"""Where the channels of own inputs are: tried on the network, or told from their number."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

_CHANNELS = (1, 3, 4)
"""Channels that images have."""

Move = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How inputs become `[N, C, ...]`."""

    move: Move
    note: str = ""
    """What is done, in words; empty where nothing is."""


AS_GIVEN = Layout(move=lambda inputs: inputs)
_LAST = Layout(
    move=lambda inputs: inputs.movedim(-1, 1).contiguous(), note="inputs: channels moved first"
)
_WITHOUT = Layout(move=lambda inputs: inputs.unsqueeze(1), note="inputs: a channel added")


def layouts(dimensions: int) -> tuple[Layout, ...]:
    """Return the ways in which inputs of so many dimensions can be meant, likeliest first."""
    return {3: (AS_GIVEN, _LAST, _WITHOUT), 4: (AS_GIVEN, _LAST)}.get(dimensions, (AS_GIVEN,))


def image_layout(inputs: torch.Tensor) -> Layout:
    """Return the way in which images are meant, from where few channels are."""
    if inputs.ndim == 3:
        return _WITHOUT
    last = inputs.ndim == 4 and inputs.shape[-1] in _CHANNELS and inputs.shape[1] not in _CHANNELS
    return _LAST if last else AS_GIVEN
