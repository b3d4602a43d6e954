"""Winograd's F(2x2, 3x3) in integers: 16 products where a direct 3x3 convolution has 36.

Four output pixels y read a 4x4 window d of every channel: y = A' [(G g G') * (B' d B)] A, the inner
product element by element and summed over channels. G has halves, so weights are transformed by 2G
on both sides, and the result is 4 y, which is divided exactly.

    window d         codes at 16 places    weights at 16 places    sums at 16     outputs 4 y
    d00 .. d03            0  1  2  3            0  1  2  3         places, over   4 y00  4 y01
    d10 .. d13   ->       4  5  6  7      *     4  5  6  7     ->  all channels   4 y10  4 y11
    d20 .. d23            8  9 10 11            8  9 10 11                     ->
    d30 .. d33           12 13 14 15           12 13 14 15
                        B' d B (CODES)     2G g (2G)' (WEIGHTS)                   A' . A (SUMS)

    >>> codes, taps = np.arange(16).reshape(4, 4), np.eye(3, dtype=int)
    >>> b, g, a = (np.array(matrix) for matrix in (CODES, WEIGHTS, SUMS))
    >>> a @ ((g @ taps @ g.T) * (b @ codes @ b.T)) @ a.T // 4  # 0 + 5 + 10 = 15, and so on
    array([[15, 18],
           [27, 30]])

Everything is an integer. With few bits everything narrow fits a byte (q: largest code, w: largest
weight). With more bits it fits 16 bits, signed, and the offset below is not needed:

- B' d B: each of the 16 places is a sum of four codes with signs. At place (1, 1) all are positive,
  at most 4 q; elsewhere two of them are negative: within -2 q and 2 q. An offset of 2 (q + 1) at
  these places makes all of them codes of 0 to 4 q + 2, unsigned as the multiplication wants them.
- 2G g (2G)': at most 9 w.
- The offsets are themselves the transform of a window, `offset * (u u' - 1/4)` with
  u = (2, 0, 1, -1), which is whole. So they add the convolution of the weights with this window to
  each output, a constant for each channel and each of the four pixels, and the bias takes it away
  (`offset_sums`). Division by 4 stays exact.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.kernels.shapes.geometry import Geometry

CODES = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""B', which transforms the codes of a window on both sides."""
WEIGHTS = ((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2))
"""2 G, which transforms the weights of a kernel on both sides."""
SUMS = ((1, 1, 1, 0), (0, 1, -1, -1))
"""A', which transforms the sums of products of a window on both sides, into four times outputs.
Terms are added from left to right, those with a minus last. So no partial sum is larger than four
times an output can be."""

PLACES = 16
"""Products of one window and one kernel."""
TAPS = 9
"""Weights of one kernel before they are transformed."""
SAVING = 36 / PLACES
"""Products of a direct convolution that one of these stands for."""

_UNOFFSET = (1, 1)
_OFFSET_WINDOW = (2, 0, 1, -1)


def code_offset(activation_bits: int) -> int:
    """Return what is added to transformed codes, except at place (1, 1), to make them unsigned."""
    offset: int = 2 ** (activation_bits + 1)
    return offset


def largest_transformed_code(activation_bits: int) -> int:
    """Return the largest transformed code with its offset."""
    largest: int = 2 * (2**activation_bits - 1) + code_offset(activation_bits)
    return largest


def largest_transformed_weight(weight_bits: int) -> int:
    """Return the largest magnitude of a transformed weight."""
    largest: int = 9 * (2 ** (weight_bits - 1) - 1)
    return largest


def has_offset(row: int, column: int) -> bool:
    """Return whether the transformed codes of a place have the offset."""
    return (row, column) != _UNOFFSET


def is_winograd_shape(geometry: Geometry) -> bool:
    """Return whether a layer is a 3x3 convolution that windows of 4x4 codes can compute."""
    g = geometry
    return (
        g.kernel == (3, 3)
        and g.stride == g.dilation == (1, 1)
        and g.groups == 1
        and min(g.out_height, g.out_width) >= 2
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TileGrid:
    """The tiles of 2x2 outputs of one image, row by row; the last ones are moved back."""

    rows: int
    columns: int

    @classmethod
    def of(cls, geometry: Geometry) -> "TileGrid":
        """Return the tiles that cover a layer's output."""
        return cls(rows=-(-geometry.out_height // 2), columns=-(-geometry.out_width // 2))

    @property
    def tiles(self) -> int:
        """Tiles of one image."""
        return self.rows * self.columns

    def products(self, geometry: Geometry, tiles: int) -> Geometry:
        """Return the matrix product of some tiles at one place, as a 1x1 convolution of a row."""
        return Geometry(
            batch=1,
            height=1,
            width=tiles,
            channels=geometry.channels,
            out_channels=geometry.out_channels,
        )


def offset_sums(weight: npt.NDArray[np.int8], offset: int) -> npt.NDArray[np.int64]:
    """Return what the offsets add to the outputs: `[4, out_channels]`, one row for each pixel.

    Args:
        weight: int8 `[out_channels, 3, 3, in_channels]`, sums of less than 2^24.
        offset: See `code_offset`.
    """
    window = np.outer(_OFFSET_WINDOW, _OFFSET_WINDOW) * offset - offset // 4
    # As floats, which are exact below 2^24 and many times faster to add up than bytes.
    channels = weight.shape[3]
    sums = weight.reshape(-1, channels).astype(np.float32) @ np.ones(channels, np.float32)
    taps = sums.astype(np.int64).reshape(weight.shape[:3])
    return np.stack(
        [
            np.einsum("ors,rs->o", taps, window[row : row + 3, column : column + 3])
            for row, column in product(range(2), range(2))
        ]
    )


def transform_taps(taps: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Write the transformed weights of all places; their type must hold `9 * largest`.

    Args:
        taps: int8 or int16 `[3, 3, first axis, other axes]`, the weights of each tap in any order.
        out: `[first axis, 16, other axes]` of the same type, where they go.
    """
    halves = [_rows(taps[:, column]) for column in range(3)]
    for row in range(4):
        line = [half[row] for half in halves]
        for column, value in enumerate(_rows(line)):
            out[:, 4 * row + column] = value


def _rows(line: Iterable[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
    """Return 2 G times three arrays."""
    first, middle, last = line
    ends = first + last
    return first + first, ends + middle, ends - middle, last + last
