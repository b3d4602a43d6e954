"""Depthwise convolution in TensorIR: vectors run over channels, tiles over columns.

    for image in range(batch):
        copy the image into `scratch`                  # where windows reach over its border
        for row in range(out_height):                  # the loop that threads share
            for tile of `columns` output columns:      # then one for the rest
                for block of `lanes` channels:         # the last one is moved back
                    sums = family.emit_sums(tile)      # every tap, `columns` x `lanes` sums
                    for pixel in the tile: the epilogue

A tile of four pixels with a 3x3 kernel reads six columns of codes. Each column is read once and
used for every pixel whose window holds it, as the tap that it is there:

    input column     0     1     2     3     4     5
    pixel 0        tap 0 tap 1 tap 2
    pixel 1              tap 0 tap 1 tap 2
    pixel 2                    tap 0 tap 1 tap 2
    pixel 3                          tap 0 tap 1 tap 2

    >>> g = Geometry(batch=1, height=8, width=8, channels=40, out_channels=40, groups=40,
    ...              kernel=(3, 3), padding=(1, 1))
    >>> tile = DepthwiseTile(g, codes=None, origin=0, weights=None, block=0, channel=0, columns=4)
    >>> tile.input_columns, tile.users(2)
    (6, [(0, 2), (1, 1), (2, 0)])
    >>> vector_starts(40, 16)
    array([ 0, 16, 24])
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    load,
    local_vector,
    shared_grid,
    spread,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.epilogue import Epilogue, Outputs, Scaling
from hardware.kernels.families.family import Family
from hardware.kernels.families.generic import Generic
from hardware.kernels.schedule.copying import emit_copy, scratch_buffer
from hardware.kernels.shapes.geometry import Geometry

__all__ = [
    "DepthwiseFamily",
    "DepthwiseTile",
    "GenericDepthwise",
    "depthwise_kernel",
    "vector_starts",
]


@dataclass(frozen=True, slots=True)
class DepthwiseTile:
    """The buffers of one tile's sums, and where it stands in them; places may be symbolic."""

    geometry: Geometry
    codes: Any
    origin: Any
    """Place of the first code of the first pixel's window."""
    weights: Any
    block: Any
    """Number of the vector of channels."""
    channel: Any
    """First channel of that vector."""
    columns: int

    def read(self, row: int, column: int, lanes: int) -> Any:
        """Return codes at a kernel row and a column of the tile's input."""
        g = self.geometry
        offset = row * g.dilation[0] * g.row_codes + column * g.channels
        return load(self.codes, self.origin + offset, lanes)

    @property
    def input_columns(self) -> int:
        """Columns of the input that the tile's windows cover."""
        g = self.geometry
        return (self.columns - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1

    def users(self, column: int) -> list[tuple[int, int]]:
        """Return the pixels whose windows hold an input column, and which tap it is there."""
        g = self.geometry
        places = ((pixel, column - pixel * g.stride[1]) for pixel in range(self.columns))
        return [
            (pixel, place // g.dilation[1])
            for pixel, place in places
            if place % g.dilation[1] == 0 and 0 <= place // g.dilation[1] < g.kernel[1]
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthwiseFamily(ABC):
    """One way to compute the sums of one channel each."""

    name: str
    lanes: int
    """Channels of one vector."""
    columns: int
    """Pixels of a tile."""

    @abstractmethod
    def emit_sums(self, tile: DepthwiseTile) -> list[list[Any]]:
        """Emit the sums of a tile; return the int32 vectors of each pixel, channels in order."""

    @abstractmethod
    def pack(self, weight: npt.NDArray[np.int8], starts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return the weights as the kernel reads them.

        Args:
            weight: int8 `[channels, kernel_h, kernel_w]`.
            starts: First channel of each vector.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class GenericDepthwise(DepthwiseFamily):
    """Products in 32 bits, on any target."""

    name: str = "generic"
    lanes: int = 8
    columns: int = 4

    def emit_sums(self, tile: DepthwiseTile) -> list[list[Any]]:
        """Emit a loop over kernel rows; the columns stand one after another."""
        g, lanes = tile.geometry, self.lanes
        wide = vector_type("int32", lanes)
        sums = [local_vector("int32", lanes) for _ in range(tile.columns)]
        for total in sums:
            store(total, 0, spread(T.int32(0), lanes), lanes)
        with T.serial(g.kernel[0]) as row:
            for column in range(g.kernel[1]):
                tap = (tile.block * g.kernel[0] + row) * g.kernel[1] + column
                weight = T.Cast(wide, load(tile.weights, tap * lanes, lanes))
                for index, total in enumerate(sums):
                    place = index * g.stride[1] + column * g.dilation[1]
                    code = T.Cast(wide, tile.read(row, place, lanes))
                    store(total, 0, load(total, 0, lanes) + code * weight, lanes)
        return [[load(total, 0, lanes)] for total in sums]

    def pack(self, weight: npt.NDArray[np.int8], starts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return int8 `[vectors, kernel_h, kernel_w, lanes]`."""
        vectors = weight[starts[:, None] + np.arange(self.lanes)]
        return np.ascontiguousarray(vectors.transpose(0, 2, 3, 1))


def vector_starts(channels: int, lanes: int) -> npt.NDArray[np.intp]:
    """Return the first channel of each vector: the last one is moved back to end at the last."""
    count = tile_count(channels, lanes)
    return np.minimum(np.arange(count) * lanes, channels - lanes)


def depthwise_kernel(
    symbol: str,
    geometry: Geometry,
    family: DepthwiseFamily,
    epilogue: Epilogue,
    weights: tuple[tuple[int, ...], str],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    out_dtype: str,
    *,
    parallel: bool = False,
) -> Any:
    """Return the TensorIR function of a convolution with one channel in each group.

    Its arguments are those of `direct.direct_kernel`; bias and multiplier have the channels'
    order.

    Args:
        symbol: Name of the compiled function.
        geometry: The layer's shapes; groups, channels and output channels are equal.
        family: How products are summed.
        epilogue: How sums become outputs.
        weights: Shape and type of the packed weights.
        shapes: Shapes of the input and the output tensor, batch first.
        out_dtype: `uint8`, `int16` or `float32` (logits).
        parallel: Whether the threads of TVM's pool share the work.
    """
    kernel = _Depthwise(geometry, family, epilogue, parallel)
    parameters = (
        Parameter(name="codes", shape=shapes[0], dtype="uint8"),
        Parameter(name="weights", shape=weights[0], dtype=weights[1]),
        Parameter(name="bias", shape=(geometry.channels,), dtype="int32"),
        Parameter(name="multiplier", shape=(geometry.channels,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="border", shape=(1,), dtype="uint8"),
        Parameter(name="output", shape=shapes[1], dtype=out_dtype),
    )
    return function(symbol, parameters, kernel.emit)


class _Depthwise:
    """Emits the body of one kernel."""

    def __init__(
        self, geometry: Geometry, family: DepthwiseFamily, epilogue: Epilogue, parallel: bool
    ) -> None:
        self.geometry, self.family, self.epilogue = geometry, family, epilogue
        self.parallel = parallel

    def emit(
        self,
        codes: Any,
        weights: Any,
        bias: Any,
        multiplier: Any,
        limits: Any,
        border: Any,
        output: Any,
    ) -> None:
        """Emit the loops over images, rows, tiles of columns and vectors of channels."""
        g = self.geometry
        plain: Family = Generic()
        scratch = scratch_buffer(g, plain, 0) if g.lacks_border else None
        scaling = Scaling(bias, multiplier, limits)
        with T.serial(g.batch) as image:
            if scratch is not None:
                emit_copy(codes, scratch, border, g, plain, image)
            read = codes if scratch is None else scratch
            start = g.first_window + (image * g.image_codes if scratch is None else 0)

            def emit_tile(row: Any, column: Any, columns: int) -> None:
                with T.serial(tile_count(g.channels, self.family.lanes)) as block:
                    channel = tile_start(block, self.family.lanes, g.channels)
                    origin = start + row * (g.stride[0] * g.row_codes)
                    origin = origin + column * (g.stride[1] * g.channels) + channel
                    tile = DepthwiseTile(g, read, origin, weights, block, channel, columns)
                    for index, vectors in enumerate(self.family.emit_sums(tile)):
                        place = g.out_place(image, row, column + index) + channel
                        self.epilogue.emit(
                            vectors, channel, scaling, Outputs(output, place), self.family.lanes
                        )

            full, rest = divmod(g.out_width, self.family.columns)
            with shared_grid((g.out_height,), self.parallel) as (row,):
                if full:
                    with T.serial(full) as index:
                        emit_tile(row, index * self.family.columns, self.family.columns)
                if rest:
                    emit_tile(row, full * self.family.columns, rest)
