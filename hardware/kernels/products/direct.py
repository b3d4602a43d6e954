"""Direct convolution in TensorIR: every family, any geometry, any number of channels.

    for image in range(batch):
        copy the image into `scratch`             # where the family or the padding wants it
        for group, block, strip:                  # the loops that threads share
            for tile in the strip's row of tiles:
                sums = the steps of the tile      # see `RegisterTiles.emit_sums`
                for pixel in tile.pixels: the epilogue stores the pixel's block of channels

Where the weights of a block outgrow the first cache, they come in panels. A strip then has several
rows of tiles, and `kept` holds their sums in between:

            kept = 0
            for panel in range(panels):
                for index in range(strip_tiles):
                    for tile in this row of tiles: kept[tile] += the steps of the panel
            for index in range(strip_tiles):
                for tile in this row of tiles: the epilogue of kept[tile]

A 3x3 convolution of 64 channels with AVX2's 16-bit operands has 288 steps of 4 vectors of 32 bytes
in a block: 36 KiB of weights in 3 panels of 12 KiB. The 14 rows of its output are 2 strips of 7.

The last tile of rows, and the last block of channels, are moved back to end at the border. They
compute a few outputs again, to the same values, and no tile needs a guard. Columns that no full
tile covers have a narrower tile of their own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load, shared_grid, store, tile_count, tile_start
from hardware.kernels.epilogue.layer_tensors import PixelOutputs
from hardware.kernels.schedule.copying import emit_images
from hardware.kernels.schedule.emit_tiles import Operands, RegisterTiles, Tile
from hardware.kernels.schedule.layer_plan import Buffers, Packed, TiledPlan
from hardware.kernels.schedule.packing import pack_channels, pack_weights, shift_bias
from quant.deploy_graph import Conv2d, Linear


def pack_direct(op: Conv2d | Linear, plan: TiledPlan) -> Packed:
    """Return the constants of a direct kernel; a family's table is its `lookup`, u8.

    Raises:
        BuildError: a bias does not fit int32.
    """
    bias = shift_bias(op, plan.family, plan.schedule.steps(plan.geometry))
    multiplier = op.epilogue.multiplier.astype(np.float32)
    table = plan.family.lookup_table()
    return (
        pack_weights(op.weight, plan),
        pack_channels(bias, plan),
        pack_channels(multiplier, plan),
        {} if table is None else {"lookup": table},
    )


def emit_direct(
    plan: TiledPlan,
    buffers: Buffers,
    outputs: PixelOutputs,
    prepare: Callable[[Any], None] | None = None,
) -> None:
    """Emit the loops over images, groups, blocks of channels and tiles of pixels.

    Args:
        plan: What the kernel is made of.
        buffers: Its arguments.
        outputs: Emits the epilogue.
        prepare: Emits what comes before each image, given its number.
    """
    _Direct(plan, outputs).emit(buffers, prepare)


class _Direct:
    """Emits the body of one kernel."""

    def __init__(self, plan: TiledPlan, outputs: PixelOutputs) -> None:
        """Keep what the kernel is made of."""
        self.geometry, self.family, self.schedule = plan.geometry, plan.family, plan.schedule
        self.parallel, self.outputs = plan.parallel, outputs
        self.tiles = RegisterTiles(plan)
        self.vectors = self.tiles.vectors

    def emit(self, buffers: Buffers, prepare: Callable[[Any], None] | None) -> None:
        """Emit the loops over images, groups, blocks of channels and tiles of pixels."""
        g, s = self.geometry, self.schedule
        overread = s.overread_codes(g, self.family)
        with emit_images(buffers, g, self.family, overread) as (image, codes, start):
            if prepare is not None:
                prepare(image)
            operands = Operands(
                codes=codes,
                start=start,
                weights=buffers["weights"],
                lookup=buffers.get("lookup"),
            )
            strips = tile_count(g.out_height, s.tile_rows) // s.strip_tiles
            with shared_grid((g.groups, s.blocks(g, self.family), strips), self.parallel) as (
                group,
                block,
                strip,
            ):
                place = Tile(image, group, block)
                if s.panels == 1:
                    self._emit_row(operands, place, strip)
                else:
                    self._emit_panels(operands, place, strip)

    def _emit_row(self, operands: Operands, place: Tile, tile_row: Any) -> None:
        """Emit the tiles of one row of tiles."""

        def emit_tile(tile: Tile) -> None:
            sums = self.tiles.emit_sums(operands, tile, 0, self.schedule.panel_chunks)
            self._emit_outputs(sums, tile)

        self.tiles.emit_row(place, tile_row, emit_tile)

    def _emit_panels(self, operands: Operands, place: Tile, strip: Any) -> None:
        """Emit one strip of a block: all tiles' sums panel by panel, then their outputs."""
        g, f, s = self.geometry, self.family, self.schedule
        values = f.channels * len(self.vectors)
        size = s.strip_tiles * s.tile_rows * g.out_width * values
        kept = T.alloc_buffer((size,), "int32")
        lanes = f.wide_lanes

        def emit_rows(emit: Callable[[Tile, Any], None]) -> None:
            with T.serial(s.strip_tiles) as index:

                def emit_tile(tile: Tile) -> None:
                    first = index * s.tile_rows * g.out_width + tile.column * s.tile_rows
                    emit(tile, first * values)

                self.tiles.emit_row(place, strip * s.strip_tiles + index, emit_tile)

        with T.serial(size // lanes) as index:
            store(kept, index * lanes, T.broadcast(T.int32(0), lanes), lanes)
        with T.serial(s.panels) as panel:

            def emit_sums(tile: Tile, first: Any) -> None:
                chunks = s.panel_chunks
                parts = self.tiles.emit_sums(operands, tile, panel * chunks, chunks)
                for number, part in enumerate(parts):
                    at = first + number * lanes
                    store(kept, at, load(kept, at, lanes) + part, lanes)

            emit_rows(emit_sums)

        def emit_outputs(tile: Tile, first: Any) -> None:
            count = len(tile.pixels) * values // lanes
            sums = [load(kept, first + number * lanes, lanes) for number in range(count)]
            self._emit_outputs(sums, tile)

        emit_rows(emit_outputs)

    def _emit_outputs(self, sums: Sequence[Any], tile: Tile) -> None:
        """Emit the epilogue of one tile."""
        g, s = self.geometry, self.schedule
        block_channels = self.family.channels * len(self.vectors)
        channel = tile_start(tile.block, block_channels, g.group_out_channels)
        constant = (tile.group * s.blocks(g, self.family) + tile.block) * block_channels
        count = len(self.vectors) * self.family.wide_vectors
        first = tile.group * g.group_out_channels + channel
        real = min(block_channels, g.group_out_channels)
        for index, (row, column) in enumerate(tile.pixels):
            vectors = sums[index * count : (index + 1) * count]
            pixel = (tile.image, tile.row + row, tile.column + column)
            self.outputs.emit(vectors, constant, pixel, first, real)
