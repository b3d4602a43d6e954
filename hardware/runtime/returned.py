"""Returned: what the user's network returns, made of the tensors of its program.

Needs numpy alone: this file travels with bundles.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Returned = npt.NDArray[np.float32] | tuple[npt.NDArray[np.float32], ...]
"""The output, or a tuple where the network has several, each batch first."""


def as_returned(
    tensor: npt.NDArray[Any], shape: Sequence[int], *, channels_last: bool
) -> npt.NDArray[np.float32]:
    """Return a tensor of a program, batch first, as the user's network returns it.

    Args:
        tensor: float32 `[N, H, W, C]` where channels are last, else `[N, C, H, W]` or `[N, ...]`.
        shape: Without the batch.
        channels_last: Whether the tensor is an image of that order.
    """
    moved = np.moveaxis(tensor, -1, 1) if channels_last else tensor
    made: npt.NDArray[np.float32] = moved.reshape(len(tensor), *shape)
    return made


def joined(parts: Sequence[Sequence[npt.NDArray[np.float32]]]) -> Returned:
    """Return the outputs of several executions, one after the other: at least one execution."""
    made = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return made if len(made) > 1 else made[0]
