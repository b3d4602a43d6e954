"""Winograd convolution in TensorIR: transform codes, multiply at 16 places, transform the sums.

    for image in range(batch):
        copy the image into `scratch`                   # where windows reach over its border
        for group, share:                               # the loops that threads share
            for tile, channels: transformed[16][tile][channels] = B' d B of the 4x4 window d
            for block in the share's blocks of channels:
                weights[16] = 2G g (2G)'                # with `transforms_weights` only
                for place in range(16):
                    sums[place] = transformed[place] x weights[place]        # a matrix product
                    # With a stride, the products of one to four places are one sum.
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

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import groupby, product
from math import prod
from operator import add
from typing import Any

import numpy as np
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    load,
    shared_grid,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.products.tile_arithmetic import divide, keep, transform_line
from hardware.kernels.products.winograd_packing import place_products
from hardware.kernels.schedule.copying import emit_images
from hardware.kernels.schedule.emit_tiles import Operands, RegisterTiles, Tile
from hardware.kernels.schedule.layer_plan import Buffers, TiledPlan
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import TAPS, TileGrid
from hardware.kernels.shapes.transformed_codes import offset_index

_VECTOR = {"uint8": 32, "int16": 16, "int8": 16}
"""Channels that are transformed at once: a register of x86's 256 bits, or of Arm's 128."""
_TOGETHER = 4
"""int32 vectors of sums that are transformed and stored at once."""
_LINE = 64
"""Bytes of a cache line."""
_FEW_GROUPS = 4
"""Groups of tiles below which threads share the blocks of channels as well."""


def emit_winograd(plan: TiledPlan, buffers: Buffers, outputs: PixelOutputs) -> None:
    """Emit the loops over images, groups of tiles and blocks of channels.

    Bias and multiplier have a part for each pixel of a tile; `offset` is what is added to
    transformed codes (see `transformed_codes.offsets`).
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
        self.transform = family.transform
        self.grid = TileGrid.of(geometry, self.transform)
        self.places = len(self.transform.places)
        self.tiles = schedule.group_tiles
        self.blocks = schedule.blocks(self.products, family)
        self.block_channels = family.channels * schedule.tile_vectors
        places = [self.transform.sum_place(place) for place in self.transform.places]
        self.sums = [(place, len(list(same))) for place, same in groupby(places)]
        self.registers = {
            count: RegisterTiles(replace(products, geometry=_rows(self.products, count)))
            for _, count in self.sums
        }
        self.place_codes = self.tiles * geometry.channels
        self.place_weights = prod(schedule.weight_shape(self.products, family)[1:])
        self.weight_stride = self.place_weights
        if max(self.registers) == 1:
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
            codes_size = sum(self._sum_codes(count) for _, count in self.sums) + beyond
            transformed = T.alloc_buffer((codes_size,), self.family.code_dtype)
            sums = T.alloc_buffer((len(self.sums) * self.sum_stride,), "int32")
            weights = buffers["weights"]
            if self.schedule.transforms_weights:
                size = self.places * self.weight_stride
                weights = T.alloc_buffer((size,), self.family.weight_dtype)
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
        """Emit the transform of a group's codes: `[places, tiles, channels]`."""
        g, matrix, window = self.geometry, self.transform.codes, self.transform.window
        lanes = min(_VECTOR[self.family.code_form], 1 << (g.channels.bit_length() - 1))
        starts = list(self._place_starts())
        with T.grid(self.tiles, tile_count(g.channels, lanes)) as (tile, part):
            row, column = self._pixel(first + tile)
            channel = tile_start(part, lanes, g.channels)
            row, column = row * self.transform.stride, column * self.transform.stride
            place = start + row * g.row_codes + column * g.channels + channel

            def fetch(y: int, x: int, place: Any = place) -> Any:
                code = load(codes, place + y * g.row_codes + x * g.channels, lanes)
                return T.Cast(vector_type(self.family.code_dtype, lanes), code)

            columns = [
                transform_line(matrix, [fetch(y, x) for y in range(window)]) for x in range(window)
            ]
            for y in range(window):
                line = transform_line(matrix, [column[y] for column in columns])
                for number, place in enumerate(self.transform.places):
                    if place.row != y:
                        continue
                    value = line[place.column]
                    which = offset_index(self.transform, self.family.code_form, place)
                    if which is not None:
                        value = value + T.broadcast(offset[which], lanes)
                    at = starts[number] + tile * g.channels + channel
                    store(transformed, at, value, lanes)

    def _emit_weights(self, taps: Any, weights: Any, block: Any) -> None:
        """Emit the transform of a block's weights: `[places, steps, vectors, lanes]`."""
        matrix = self.transform.weights
        lanes, dtype = self.family.weight_lanes, self.family.weight_dtype
        with T.serial(self.place_weights // lanes) as index:

            def fetch(row: int, column: int) -> Any:
                at = (block * TAPS + 3 * row + column) * self.place_weights + index * lanes
                return T.Cast(vector_type(dtype, lanes), load(taps, at, lanes))

            columns = [
                transform_line(matrix, [fetch(row, column) for row in range(3)])
                for column in range(3)
            ]
            for row in range(len(matrix)):
                line = transform_line(matrix, [column[row] for column in columns])
                for number, place in enumerate(self.transform.places):
                    if place.weights == row:
                        at = number * self.weight_stride + index * lanes
                        store(weights, at, line[place.column], lanes)

    def _emit_sums(self, transformed: Any, weights: Any, sums: Any, block: Any) -> None:
        """Emit a block's matrix products at all places: `[sums, tiles, block channels]`."""
        lanes = self.family.wide_lanes
        transforms = self.schedule.transforms_weights
        place_weights = self.weight_stride if transforms else self.place_weights
        first_place, first_sum, first_code = 0, 0, 0
        for count, alike in groupby(count for _, count in self.sums):
            registers, number = self.registers[count], len(list(alike))
            with T.serial(number) as index:
                place = first_place + index * count
                which = place if transforms else block * self.places + place
                operands = Operands(
                    codes=transformed,
                    start=first_code + index * self._sum_codes(count),
                    weights=weights,
                    lookup=None,
                    first_weight=which * place_weights,
                )
                first = (first_sum + index) * self.sum_stride

                def emit_tile(
                    tile: Tile,
                    registers: RegisterTiles = registers,
                    operands: Operands = operands,
                    first: Any = first,
                ) -> None:
                    vectors = registers.emit_sums(operands, tile, 0, self.schedule.panel_chunks)
                    at = first + tile.column * self.block_channels
                    for index, vector in enumerate(vectors):
                        store(sums, at + index * lanes, vector, lanes)

                registers.emit_row(Tile(0, 0, 0), 0, emit_tile)
            first_place += number * count
            first_sum += number
            first_code += number * self._sum_codes(count)

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
                for index, (y, x) in enumerate(product(range(self.transform.outputs), repeat=2)):
                    self.outputs.emit(
                        [part[index] for part in parts],
                        (index * self.blocks + block) * self.block_channels + start,
                        (image, row + y, column + x),
                        channel + start,
                        min(end, real) - start,
                    )

    def _outputs(self, sums: Any, tile: Any, channel: int) -> list[Any]:
        """Return the sums of a tile's pixels, row by row, one int32 vector of channels each."""
        lanes = self.family.wide_lanes
        factors = self.transform.sum_factors
        matrix, window = tuple(zip(*factors, strict=True)), range(len(factors))

        def fetch(row: int, column: int) -> Any:
            found = [
                load(
                    sums,
                    number * self.sum_stride + tile * self.block_channels + channel,
                    lanes,
                )
                for number, (place, _) in enumerate(self.sums)
                if place == (row, column)
            ]
            return reduce(add, found)

        columns = [
            transform_line(matrix, [fetch(row, column) for row in window]) for column in window
        ]
        return [
            keep(divide(value, self.transform.scale))
            for row in range(self.transform.outputs)
            for value in transform_line(matrix, [column[row] for column in columns])
        ]

    def _sum_codes(self, count: int) -> int:
        """Return the room in `transformed` of the codes of one sum of this many places."""
        return _odd_lines(count * self.place_codes, self.family.code_dtype)

    def _place_starts(self) -> Iterator[int]:
        """Yield where each place's codes begin: those of one sum side by side."""
        start = 0
        for _, count in self.sums:
            yield from (start + number * self.place_codes for number in range(count))
            start += self._sum_codes(count)

    def _pixel(self, tile: Any) -> tuple[Any, Any]:
        """Return a tile's first output pixel, row and column."""
        g, columns, side = self.geometry, self.grid.columns, self.transform.outputs
        return (
            tile_start(tile // columns, side, g.out_height),
            tile_start(tile % columns, side, g.out_width),
        )


def _rows(products: Geometry, count: int) -> Geometry:
    """Return the matrix product of several places whose products are one sum: rows of a window."""
    return replace(products, height=count, kernel=(count, 1))


def _odd_lines(count: int, dtype: str) -> int:
    """Return at least `count` numbers that fill an odd number of cache lines.

    The 16 places of one tile then lie in different sets of the first cache.
    """
    in_line = _LINE // np.dtype(dtype).itemsize
    lines = -(-count // in_line)
    return (lines + 1 - lines % 2) * in_line
