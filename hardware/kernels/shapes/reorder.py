"""Reordering arrays of small elements, as fast as memory allows.

NumPy copies a transposed array element by element. Where neighbours stay together, words of
several elements move instead: packing eleven million weights as bytes takes five times as long.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["reordered"]

_WORDS = (np.dtype(np.complex128), *(np.dtype(f"u{size}") for size in (8, 4, 2, 1)))
"""Types of each size; they are only copied, so that any bits are valid in them."""


def reordered(array: npt.NDArray[Any], axes: Sequence[int]) -> npt.NDArray[Any]:
    """Return `array.transpose(axes)` as a contiguous copy, or `array` itself where it is one.

    Args:
        array: Contiguous or not; of any numbers.
        axes: A permutation; the longer the run of last axes that it leaves, the faster.
    """
    kept = array.ndim
    while kept > 0 and axes[kept - 1] == kept - 1:
        kept -= 1
    shape = tuple(array.shape[axis] for axis in axes)
    if kept <= 1 or array.size == 0:
        return np.ascontiguousarray(array).reshape(shape)
    array = np.ascontiguousarray(array)
    together = prod(array.shape[kept:])
    size = together * array.itemsize
    word = next(word for word in _WORDS if size % word.itemsize == 0)
    words = array.reshape(*array.shape[:kept], together).view(word)
    moved = np.ascontiguousarray(words.transpose(*axes[:kept], kept))
    return moved.view(array.dtype).reshape(shape)
