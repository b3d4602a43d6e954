"""Reordering arrays of small elements, as fast as memory allows.

NumPy copies a transposed array element by element. Where neighbours stay together, words of
several elements move instead: packing eleven million weights byte by byte takes five times as long.

The first two axes of `[2, 3, 4]` bytes change places. The four bytes of the last axis stay
together, and move as one 32-bit word: six moves for 24 bytes.

    [0 1 2 3] [4 5 6 7] [8 9 10 11]             [0 1 2 3]   [12 13 14 15]
    [12 ..15] [16 ..19] [20  .. 23]     ->      [4 5 6 7]   [16 17 18 19]
                                                [8 .. 11]   [20 21 22 23]

    >>> array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    >>> reorder(array, (1, 0, 2))[0]
    array([[ 0,  1,  2,  3],
           [12, 13, 14, 15]], dtype=uint8)
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

_WORDS = (np.dtype(np.complex128), *(np.dtype(f"u{size}") for size in (8, 4, 2, 1)))
"""Types of each size; they are only copied, so that any bits are valid in them."""


def reorder(array: npt.NDArray[Any], axes: Sequence[int]) -> npt.NDArray[Any]:
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
