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
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    load,
    local_vector,
    shared_grid,
    splat,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.families.generic import Generic
from hardware.kernels.schedule.copying import emit_images
from hardware.kernels.schedule.layer_plan import Buffers, LayerPlan, Packed
from hardware.kernels.schedule.packing import shift_bias
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Conv2d, Linear


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

    def pack(self, weight: npt.NDArray[np.int8], starts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return the weights as they are read: here `[vectors, kernel_h, kernel_w, lanes]`.

        Args:
            weight: int8 `[channels, kernel_h, kernel_w]`.
            starts: First channel of each vector.
        """
        vectors = weight[starts[:, None] + np.arange(self.lanes)]
        return np.ascontiguousarray(vectors.transpose(0, 2, 3, 1))


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
            store(total, 0, splat(T.int32(0), lanes), lanes)
        with T.serial(g.kernel[0]) as row:
            for column in range(g.kernel[1]):
                tap = (tile.block * g.kernel[0] + row) * g.kernel[1] + column
                weight = T.Cast(wide, load(tile.weights, tap * lanes, lanes))
                for index, total in enumerate(sums):
                    place = index * g.stride[1] + column * g.dilation[1]
                    code = T.Cast(wide, tile.read(row, place, lanes))
                    store(total, 0, load(total, 0, lanes) + code * weight, lanes)
        return [[load(total, 0, lanes)] for total in sums]


def vector_starts(channels: int, lanes: int) -> npt.NDArray[np.intp]:
    """Return the first channel of each vector: the last one is moved back to end at the last."""
    count = tile_count(channels, lanes)
    return np.minimum(np.arange(count) * lanes, channels - lanes)


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthwisePlan(LayerPlan):
    """A convolution with one channel in each group."""

    family: DepthwiseFamily
    """How products are summed."""

    def document(self) -> dict[str, Any]:
        """Return what shapes the code, for a kernel's key."""
        return {**LayerPlan.document(self), "family": asdict(self.family)}


def pack_depthwise(op: Conv2d | Linear, plan: DepthwisePlan) -> Packed:
    """Return the constants of a depthwise kernel; biases and multipliers keep their order.

    Raises:
        BuildError: a bias does not fit int32.
    """
    g, family = plan.geometry, plan.family
    weights = op.weight.reshape(g.channels, *g.kernel)
    multiplier = op.epilogue.multiplier.astype(np.float32)
    packed = family.pack(weights, vector_starts(g.channels, family.lanes))
    return packed, shift_bias(op, Generic(), 0), multiplier, {}


def emit_depthwise(plan: DepthwisePlan, buffers: Buffers, outputs: PixelOutputs) -> None:
    """Emit the loops over images, rows, tiles of columns and vectors of channels."""
    g, family = plan.geometry, plan.family
    with emit_images(buffers, g, Generic()) as (image, codes, start):

        def emit_tile(row: Any, column: Any, columns: int) -> None:
            with T.serial(tile_count(g.channels, family.lanes)) as block:
                channel = tile_start(block, family.lanes, g.channels)
                origin = start + row * (g.stride[0] * g.row_codes)
                origin = origin + column * (g.stride[1] * g.channels) + channel
                weights = buffers["weights"]
                tile = DepthwiseTile(g, codes, origin, weights, block, channel, columns)
                for index, sums in enumerate(family.emit_sums(tile)):
                    pixel = (image, row, column + index)
                    outputs.emit(sums, channel, pixel, channel, family.lanes)

        full, rest = divmod(g.out_width, family.columns)
        with shared_grid((g.out_height,), plan.parallel) as (row,):
            if full:
                with T.serial(full) as index:
                    emit_tile(row, index * family.columns, family.columns)
            if rest:
                emit_tile(row, full * family.columns, rest)
