"""Winograd's convolutions in integers: fewer products than a direct 3x3 convolution, and exact.

A tile of m x m output pixels y reads a window d of (m + 2) x (m + 2) codes of every channel, or
more where the convolution has a stride:
y = A' [(G g G') * (B' d B)] A, the inner product element by element and summed over channels. G has
fractions, so the matrices here are multiples of it and of A, and the sums come out as `scale` times
the outputs, which is divided exactly. With m = 2 (see `tile_2x2`):

    window d         codes at 16 places    weights at 16 places    sums at 16     outputs 4 y
    d00 .. d03            0  1  2  3            0  1  2  3         places, over   4 y00  4 y01
    d10 .. d13   ->       4  5  6  7      *     4  5  6  7     ->  all channels   4 y10  4 y11
    d20 .. d23            8  9 10 11            8  9 10 11                     ->
    d30 .. d33           12 13 14 15           12 13 14 15
                        B' d B (CODES)     2G g (2G)' (WEIGHTS)                   A' . A (SUMS)

Whether transformed codes fit their type, and what is added to them so that they do, is told by
`hardware.kernels.shapes.transformed_codes`.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hardware.kernels.shapes.geometry import Geometry

Matrix = tuple[tuple[int, ...], ...]

TileName = Literal["", "2x2", "3x3", "3x3-split", "strided"]
"""Names of the transforms, by the outputs of a tile or for a stride of 2; empty where nothing is
transformed."""

TAPS = 9
"""Weights of one kernel before they are transformed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One of the products of a window and a kernel."""

    row: int
    """Row of the transformed window."""
    column: int
    weights: int
    """Row of `TileTransform.weights` that its weights are transformed with; their column is
    `column`."""


def square_places(window: int) -> tuple[Place, ...]:
    """Return the places of a window, row by row."""
    return tuple(
        Place(row=row, column=column, weights=row)
        for row, column in product(range(window), range(window))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TileTransform:
    """One of Winograd's algorithms for 3x3 kernels."""

    outputs: int
    """Rows and columns of outputs of a tile."""
    codes: Matrix
    """B', which transforms the codes of a window on both sides."""
    weights: Matrix
    """A multiple of G, which transforms the weights of a kernel on both sides."""
    sums: Matrix
    """A multiple of A', which transforms the sums of products of a window on both sides. Terms are
    added from left to right, those with a minus last."""
    scale: int
    """Sums come out as this many times the outputs."""
    places: tuple[Place, ...]
    """The products of one window and one kernel; a place may be there twice, for both sums. Where
    neighbours have equal factors in `sums`, their products are added up as one sum."""
    stride: int = 1
    """Of the convolution, in both directions."""

    @property
    def window(self) -> int:
        """Rows and columns of codes that a tile reads."""
        return self.stride * (self.outputs - 1) + 3

    @property
    def sum_factors(self) -> Matrix:
        """The different columns of `sums`, as rows, in their order."""
        return tuple(dict.fromkeys(zip(*self.sums, strict=True)))

    def sum_place(self, place: Place) -> tuple[int, int]:
        """Return the row and column of `sum_factors` that a place's products are added with."""
        columns, factors = tuple(zip(*self.sums, strict=True)), self.sum_factors
        return factors.index(columns[place.row]), factors.index(columns[place.column])

    @property
    def saving(self) -> float:
        """Products of a direct convolution that one of these stands for."""
        return TAPS * self.outputs**2 / len(self.places)

    def largest_weight(self, place: Place, weight_bits: int) -> int:
        """Return the largest magnitude of a transformed weight.

        Args:
            place: Which one.
            weight_bits: Weight codes are in +-(2^(weight_bits - 1) - 1).
        """
        row, column = self.weights[place.weights], self.weights[place.column]
        most: int = sum(map(abs, row)) * sum(map(abs, column)) * (2 ** (weight_bits - 1) - 1)
        return most

    def transform_taps(self, taps: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write the transformed weights of all places; their type must hold them.

        Args:
            taps: int8 or int16 `[3, 3, first axis, other axes]`, the weights of each tap in any
                order.
            out: `[first axis, places, other axes]` of the same type, where they go.
        """
        halves = [_lines(self.weights, list(taps[:, column])) for column in range(TAPS // 3)]
        columns = self.weights[: self.window]
        rows = [_lines(columns, [half[row] for half in halves]) for row in range(len(halves[0]))]
        for index, place in enumerate(self.places):
            out[:, index] = rows[place.weights][place.column]


def is_winograd_shape(geometry: Geometry, tiles: TileTransform) -> bool:
    """Return whether a layer is a 3x3 convolution of this stride whose outputs hold a tile."""
    g = geometry
    return (
        g.kernel == (3, 3)
        and g.stride == (tiles.stride, tiles.stride)
        and g.dilation == (1, 1)
        and g.groups == 1
        and min(g.out_height, g.out_width) >= tiles.outputs
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TileGrid:
    """The tiles of outputs of one image, row by row; the last ones are moved back."""

    rows: int
    columns: int

    @classmethod
    def of(cls, geometry: Geometry, tiles: TileTransform) -> "TileGrid":
        """Return the tiles that cover a layer's output."""
        side = tiles.outputs
        return cls(rows=-(-geometry.out_height // side), columns=-(-geometry.out_width // side))

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


def _lines(matrix: Matrix, line: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return a matrix times a line of arrays."""
    result = []
    for row in matrix:
        terms = [
            value if count == 1 else np.multiply(value, count, dtype=value.dtype)
            for count, value in zip(row, line, strict=True)
            if count
        ]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        result.append(total)
    return result
