"""Convolutions and matrix products with AMX: two tiles of pixels by two of channels at a time.

    load the sizes of all tiles
    for image in range(batch):
        copy the image into `scratch`               # where the padding wants it
        for group, block, row of tiles:             # the loops that threads share
            for register tile in this row:
                tiles 0 to 3 = 0
                for run, step:                      # 64 codes of each run of the window, or fewer
                    tile 4, 5 = codes of 16 pixels, each a row: as far apart as pixels are
                    tile 6, 7 = weights of 16 channels, 64 bytes of four codes each
                    tiles 0 to 3 += 4 or 5, times 6 or 7
                sums = tiles 0 to 3                 # through memory: there is no other way
                for pixel in the register tile: the epilogue stores the pixel's channels
    release the tiles

A 3x3 convolution of 64 channels on 14x14 pixels has runs of 192 codes: 3 runs of 3 steps, each of
four loads and four products, for 2 rows of 14 pixels and 32 channels.

Nobody pads: the last tile of a row, the last row of tiles and the last block of channels are moved
back to end at the border, as in the direct kernel, and compute a few outputs again. Where a run is
no multiple of a step, its last step reads up to 63 codes beyond it, against weights of zero.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.amx_tiles import (
    clear,
    codes_tile,
    configured,
    load_tile,
    multiply,
    store_tile,
    sums_tile,
    weights_tile,
)
from hardware.kernels.emitting.emit import load, shared_grid, tile_count, tile_start
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.schedule.amx_shapes import tiles_of
from hardware.kernels.schedule.copying import emit_images
from hardware.kernels.schedule.emit_tiles import Operands, Tile
from hardware.kernels.schedule.layer_plan import Buffers, TiledPlan


def emit_amx(
    plan: TiledPlan,
    buffers: Buffers,
    outputs: PixelOutputs,
    prepare: Callable[[Any], None] | None = None,
) -> None:
    """Emit the loops over images, groups, blocks of channels and register tiles.

    Args:
        plan: What the kernel is made of.
        buffers: Its arguments.
        outputs: Emits the epilogue.
        prepare: Emits what comes before each image, given its number.
    """
    _AmxKernel(plan, outputs).emit(buffers, prepare)


class _AmxKernel:
    """Emits the body of one kernel."""

    def __init__(self, plan: TiledPlan, outputs: PixelOutputs) -> None:
        """Keep what the kernel is made of."""
        self.geometry, self.family, self.schedule = plan.geometry, plan.family, plan.schedule
        self.parallel, self.outputs = plan.parallel, outputs
        self.codes = plan.schedule.inside_positions * plan.family.products
        self.beside = tiles_of(plan.schedule.tile_columns)
        self.pixels = plan.schedule.tile_columns // self.beside
        self.vectors = range(plan.schedule.tile_vectors)

    def emit(self, buffers: Buffers, prepare: Callable[[Any], None] | None) -> None:
        """Emit everything."""
        g, s = self.geometry, self.schedule
        grid = (g.groups, s.blocks(g, self.family), tile_count(g.out_height, s.tile_rows))
        overread = s.overread_codes(g, self.family)
        with ExitStack() as inside:
            if not self.parallel:
                sums = inside.enter_context(self._tiles())
            image, codes, start = inside.enter_context(
                emit_images(buffers, g, self.family, overread)
            )
            if prepare is not None:
                prepare(image)
            group, block, tile_row = inside.enter_context(shared_grid(grid, self.parallel))
            if self.parallel:
                sums = inside.enter_context(self._tiles())
            operands = Operands(codes=codes, start=start, weights=buffers["weights"], lookup=None)
            self._emit_row(operands, Tile(image, group, block), tile_row, sums)

    @contextmanager
    def _tiles(self) -> Iterator[Any]:
        """Emit the block with tiles of this thread's own; yield the memory that sums go through."""
        s = self.schedule
        values = s.tile_rows * s.tile_columns * len(self.vectors) * self.family.channels
        sums = T.alloc_buffer((values,), "int32")
        with configured(self.pixels, self.codes):
            yield sums

    def _emit_row(self, operands: Operands, place: Tile, tile_row: Any, sums: Any) -> None:
        """Emit one row of register tiles: full ones in a loop, then what they leave."""
        g, s = self.geometry, self.schedule
        full, rest = divmod(g.out_width, s.tile_columns)
        first_row = tile_start(tile_row, s.tile_rows, g.out_height)
        rows = [first_row + row for row in range(s.tile_rows)]

        def emit(columns: Sequence[Any]) -> None:
            self._emit_tile(operands, place, [(row, at) for row in rows for at in columns], sums)

        if full:
            with T.serial(full) as index:
                emit([index * s.tile_columns + n * self.pixels for n in range(self.beside)])
        if rest:
            starts = range(full * s.tile_columns, g.out_width, self.pixels)
            emit([min(start, g.out_width - self.pixels) for start in starts])

    def _emit_tile(
        self, operands: Operands, place: Tile, starts: Sequence[tuple[Any, Any]], sums: Any
    ) -> None:
        """Emit one register tile.

        Args:
            operands: Buffers.
            place: Its image, group and block.
            starts: Row and column of the first pixel of each tile.
            sums: Memory for all sums.
        """
        pairs = [(tile, vector) for tile in range(len(starts)) for vector in self.vectors]
        for tile, vector in pairs:
            clear(sums_tile(tile, vector))
        self._emit_products(operands, place, starts)
        lanes = self.family.channels
        row = len(self.vectors) * lanes
        for tile, vector in pairs:
            at = tile * self.pixels * row + vector * lanes
            store_tile(sums_tile(tile, vector), sums, at, 4 * row)
        for tile, start in enumerate(starts):
            with T.serial(self.pixels) as pixel:
                first = (tile * self.pixels + pixel) * row
                values = [load(sums, first + vector * lanes, lanes) for vector in self.vectors]
                self._emit_outputs(values, place, (start[0], start[1] + pixel))

    def _emit_products(
        self, operands: Operands, place: Tile, starts: Sequence[tuple[Any, Any]]
    ) -> None:
        """Emit the steps of one register tile."""
        g, s, f = self.geometry, self.schedule, self.family
        row_bytes = len(self.vectors) * f.weight_lanes
        block = place.group * s.blocks(g, f) + place.block
        first_weight = block * (s.steps(g) * row_bytes)
        origins = [
            operands.start
            + row * (g.stride[0] * g.row_codes)
            + column * (g.stride[1] * g.channels)
            + place.group * (g.channels // g.groups)
            for row, column in starts
        ]
        with T.grid(g.runs, s.iterations) as (run, step):
            read = g.run_offset(run) + step * self.codes
            for tile, origin in enumerate(origins):
                pixel_bytes = g.stride[1] * g.channels
                load_tile(codes_tile(tile), operands.codes, origin + read, pixel_bytes)
            position = run * s.positions + step * s.inside_positions
            for vector in self.vectors:
                at = first_weight + position * row_bytes + vector * f.weight_lanes
                load_tile(weights_tile(vector), operands.weights, at, row_bytes)
            for tile in range(len(starts)):
                for vector in self.vectors:
                    multiply(sums_tile(tile, vector), codes_tile(tile), weights_tile(vector))

    def _emit_outputs(self, values: Sequence[Any], place: Tile, pixel: tuple[Any, Any]) -> None:
        """Emit the epilogue of one pixel."""
        g, s = self.geometry, self.schedule
        block_channels = self.family.channels * len(self.vectors)
        channel = tile_start(place.block, block_channels, g.group_out_channels)
        constant = (place.group * s.blocks(g, self.family) + place.block) * block_channels
        first = place.group * g.group_out_channels + channel
        real = min(block_channels, g.group_out_channels)
        self.outputs.emit(values, constant, (place.image, *pixel), first, real)
