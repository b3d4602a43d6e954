"""Winograd convolution in TensorIR: transform codes, multiply at 16 places, transform the sums.

    for image in range(batch):
        copy the image into `scratch`                   # where windows reach over its border
        for group, share:                               # the loops that threads share
            for tile, channels: transformed[16][tile][channels] = B' d B of the 4x4 window d
            for block in the share's blocks of channels:
                weights[16] = 2G g (2G)'                # with `transforms_weights` only
                for place in range(16):
                    sums[place] = transformed[place] x weights[place]        # a matrix product
                for tile: outputs of 2x2 pixels = A' sums A / 4, and the epilogue

A group is small enough to stay in the second cache: its transformed codes, and the 16 matrix
products and sums of one block of channels at a time. The matrix products are the register tiles of
the direct kernel, which see the tiles of a group as the pixels of one row.

An output of 14x14 pixels and 64 channels has 7x7 tiles, which are one group. At each place, 49 rows
of 64 codes meet the weights. Places are an odd number of cache lines apart (`_odd_lines`): 49 rows
of 64 bytes fill 49 lines, and 32 rows would get 33.

Tiles at the end of the image are moved back. Where an output has five columns:

    column   0 1 2 3 4
    tile 0   # #
    tile 1       # #
    tile 2         # #
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    element_type,
    lanes_of,
    load,
    local_vector,
    shared_grid,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.products.winograd_packing import place_products
from hardware.kernels.schedule.copying import emit_images
from hardware.kernels.schedule.emit_tiles import Operands, RegisterTiles, Tile
from hardware.kernels.schedule.layer_plan import Buffers, TiledPlan
from hardware.kernels.shapes.transform import (
    CODES,
    PLACES,
    SUMS,
    TAPS,
    WEIGHTS,
    TileGrid,
    has_offset,
)

_VECTOR = {"uint8": 32, "int16": 16}
"""Channels that are transformed at once."""
_TOGETHER = 4
"""int32 vectors of sums that are transformed and stored at once."""
_LINE = 64
"""Bytes of a cache line."""
_FEW_GROUPS = 4
"""Groups of tiles below which threads share the blocks of channels as well."""


def emit_winograd(plan: TiledPlan, buffers: Buffers, outputs: PixelOutputs) -> None:
    """Emit the loops over images, groups of tiles and blocks of channels.

    Bias and multiplier have four parts, one for each pixel of a tile; where transformed codes are
    bytes, `offset` is what was added to them.
    """
    _Winograd(plan, outputs).emit(buffers)


class _Winograd:
    """Emits the body of one kernel."""

    def __init__(self, plan: TiledPlan, outputs: PixelOutputs) -> None:
        """Keep what the kernel is made of."""
        geometry, family, schedule = plan.geometry, plan.family, plan.schedule
        self.geometry, self.family, self.schedule = geometry, family, schedule
        self.parallel, self.outputs = plan.parallel, outputs
        products = place_products(plan)
        self.products = products.geometry
        self.grid = TileGrid.of(geometry)
        self.tiles = schedule.group_tiles
        self.blocks = schedule.blocks(self.products, family)
        self.block_channels = family.channels * schedule.tile_vectors
        self.registers = RegisterTiles(products)
        self.code_stride = _odd_lines(self.tiles * geometry.channels, family.code_dtype)
        self.place_weights = prod(schedule.weight_shape(self.products, family)[1:])
        self.weight_stride = _odd_lines(self.place_weights, family.weight_dtype)
        self.sum_stride = _odd_lines(self.tiles * self.block_channels, "int32")

    def emit(self, buffers: Buffers) -> None:
        """Emit the loops over images, groups of tiles and blocks of channels."""
        g = self.geometry
        groups = tile_count(self.grid.tiles, self.tiles)
        shares = 1
        if self.parallel and groups < _FEW_GROUPS:
            shares = max(n for n in range(1, _FEW_GROUPS + 1) if self.blocks % n == 0)
        # The last step of a sum may read beyond its channels, against weights of zero.
        beyond = self.schedule.overread_codes(self.products, self.family)
        with (
            emit_images(buffers, g, self.family) as (image, codes, start),
            shared_grid((groups, shares), self.parallel) as (group, share),
        ):
            first = tile_start(group, self.tiles, self.grid.tiles)
            codes_size = PLACES * self.code_stride + beyond
            transformed = T.alloc_buffer((codes_size,), self.family.code_dtype)
            sums = T.alloc_buffer((PLACES * self.sum_stride,), "int32")
            weights = buffers["weights"]
            if self.schedule.transforms_weights:
                weights = T.alloc_buffer((PLACES * self.weight_stride,), self.family.weight_dtype)
            self._emit_codes(codes, start, transformed, buffers.get("offset"), first)
            with T.serial(self.blocks // shares) as index:
                block = share * (self.blocks // shares) + index
                if self.schedule.transforms_weights:
                    self._emit_weights(buffers["weights"], weights, block)
                self._emit_sums(transformed, weights, sums, block)
                self._emit_outputs(sums, image, first, block)

    def _emit_codes(
        self, codes: Any, start: Any, transformed: Any, offset: Any, first: Any
    ) -> None:
        """Emit the transform of a group's codes: `[16, tiles, channels]`."""
        g = self.geometry
        lanes = min(_VECTOR[self.family.code_dtype], 1 << (g.channels.bit_length() - 1))
        with T.grid(self.tiles, tile_count(g.channels, lanes)) as (tile, part):
            row, column = self._pixel(first + tile)
            channel = tile_start(part, lanes, g.channels)
            place = start + row * g.row_codes + column * g.channels + channel

            def fetch(y: int, x: int, place: Any = place) -> Any:
                code = load(codes, place + y * g.row_codes + x * g.channels, lanes)
                return T.Cast(vector_type(self.family.code_dtype, lanes), code)

            columns = [_transform(CODES, [fetch(y, x) for y in range(4)]) for x in range(4)]
            for y in range(4):
                line = _transform(CODES, [column[y] for column in columns])
                for x, value in enumerate(line):
                    if offset is not None and has_offset(y, x):
                        value = value + T.broadcast(offset[0], lanes)
                    at = (4 * y + x) * self.code_stride + tile * g.channels + channel
                    store(transformed, at, value, lanes)

    def _emit_weights(self, taps: Any, weights: Any, block: Any) -> None:
        """Emit the transform of a block's weights: `[16, steps, vectors, lanes]`."""
        lanes, dtype = self.family.weight_lanes, self.family.weight_dtype
        with T.serial(self.place_weights // lanes) as index:

            def fetch(row: int, column: int) -> Any:
                at = (block * TAPS + 3 * row + column) * self.place_weights + index * lanes
                return T.Cast(vector_type(dtype, lanes), load(taps, at, lanes))

            columns = [
                _transform(WEIGHTS, [fetch(row, column) for row in range(3)]) for column in range(3)
            ]
            for row in range(4):
                line = _transform(WEIGHTS, [column[row] for column in columns])
                for column, value in enumerate(line):
                    at = (4 * row + column) * self.weight_stride + index * lanes
                    store(weights, at, value, lanes)

    def _emit_sums(self, transformed: Any, weights: Any, sums: Any, block: Any) -> None:
        """Emit the matrix products of one block at all places: `[16, tiles, block channels]`."""
        lanes = self.family.wide_lanes
        transforms = self.schedule.transforms_weights
        with T.serial(PLACES) as place:
            operands = Operands(
                codes=transformed,
                start=place * self.code_stride,
                weights=weights,
                lookup=None,
                first_weight=place * self.weight_stride if transforms else 0,
            )
            first_block = 0 if transforms else block * PLACES + place

            def emit_tile(tile: Tile) -> None:
                vectors = self.registers.emit_sums(operands, tile, 0, self.schedule.panel_chunks)
                at = place * self.sum_stride + tile.column * self.block_channels
                for index, vector in enumerate(vectors):
                    store(sums, at + index * lanes, vector, lanes)

            self.registers.emit_row(Tile(0, 0, first_block), 0, emit_tile)

    def _emit_outputs(self, sums: Any, image: Any, first: Any, block: Any) -> None:
        """Emit the transform of a block's sums, and the outputs of its channels."""
        out_channels = self.geometry.out_channels
        channel = tile_start(block, self.block_channels, out_channels)
        real = min(self.block_channels, out_channels)
        lanes = self.family.wide_lanes
        with T.serial(self.tiles) as tile:
            row, column = self._pixel(first + tile)
            for start in range(0, real, _TOGETHER * lanes):
                end = min(start + _TOGETHER * lanes, self.block_channels)
                parts = [self._outputs(sums, tile, at) for at in range(start, end, lanes)]
                for index, (y, x) in enumerate(product(range(2), range(2))):
                    self.outputs.emit(
                        [part[index] for part in parts],
                        (index * self.blocks + block) * self.block_channels + start,
                        (image, row + y, column + x),
                        channel + start,
                        min(end, real) - start,
                    )

    def _outputs(self, sums: Any, tile: Any, channel: int) -> list[Any]:
        """Return the sums of a tile's four pixels, one int32 vector of channels each."""
        lanes = self.family.wide_lanes

        def fetch(row: int, column: int) -> Any:
            at = (4 * row + column) * self.sum_stride + tile * self.block_channels
            return load(sums, at + channel, lanes)

        columns = [
            _transform(SUMS, [fetch(row, column) for row in range(4)]) for column in range(4)
        ]
        quarter = T.broadcast(T.int32(2), lanes)
        return [
            _keep(T.shift_right(value, quarter))
            for row in range(2)
            for value in _transform(SUMS, [column[row] for column in columns])
        ]

    def _pixel(self, tile: Any) -> tuple[Any, Any]:
        """Return a tile's first output pixel, row and column."""
        g, columns = self.geometry, self.grid.columns
        return (
            tile_start(tile // columns, 2, g.out_height),
            tile_start(tile % columns, 2, g.out_width),
        )


def _odd_lines(count: int, dtype: str) -> int:
    """Return at least `count` numbers that fill an odd number of cache lines.

    The 16 places of one tile then lie in different sets of the first cache.
    """
    in_line = _LINE // np.dtype(dtype).itemsize
    lines = -(-count // in_line)
    return (lines + 1 - lines % 2) * in_line


def _transform(matrix: Sequence[Sequence[int]], values: Sequence[Any]) -> list[Any]:
    """Return a matrix of 2, 1, 0 and -1 times a line of vectors."""
    # Each is used several times.
    values = [_keep(value) for value in values]
    result = []
    for row in matrix:
        pairs = list(zip(row, values, strict=True))
        first, *others = [value for count, value in pairs for _ in range(count)]
        total = first
        for value in others:
            total = total + value
        for value in (value for count, value in pairs if count < 0):
            total = total - value
        result.append(total)
    return result


def _keep(value: Any) -> Any:
    """Emit a local vector: an expression would be copied to each of its uses."""
    lanes = lanes_of(value)
    kept = local_vector(element_type(value), lanes)
    store(kept, 0, value, lanes)
    return load(kept, 0, lanes)
