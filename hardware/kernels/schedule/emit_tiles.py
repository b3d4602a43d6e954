"""Register tiles: sums of products of a few pixels and channels, and rows of such tiles.

A row of 14 output pixels in tiles of 5 columns (`emit_row`): one loop over the full tiles, then a
narrower tile of its own for the rest.

    column   0  1  2  3  4 | 5  6  7  8  9 | 10 11 12 13
             full tile 0   | full tile 1   | rest

The sums of one tile (`emit_sums`), one for each pixel and vector. Where a family's sums are int32
from the start, or all steps fit its depth:

    for outer, iteration:
        for step in this iteration:
            for pixel, vector: sums[pixel, vector] += code[pixel] * weight[step, vector]
    return finish(sums)

Where narrow sums would overflow, they are folded into wide ones, chunk by chunk:

    for outer, chunk:
        narrow = 0
        for inner in range(chunk_iterations): the steps as above, into narrow
        wide += fold(narrow)
    return finish(wide)

Where `chunk_iterations` is 0, the loops turn round: `depth` steps of one pixel and vector are one
expression, which is folded at once, and needs a register for no longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load, local_vector, store, tile_start
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.layer_plan import TiledPlan


@dataclass(frozen=True, slots=True)
class Operands:
    """The buffers that sums are made of."""

    codes: Any
    start: Any
    """Place of the image in `codes`."""
    weights: Any
    lookup: Any | None
    first_weight: Any = 0
    """Place in `weights` of the first block's weights."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Where one register tile stands (all may be symbolic), and its pixels."""

    image: Any
    group: Any
    block: Any
    row: Any = 0
    column: Any = 0
    pixels: tuple[tuple[int, int], ...] = ()


class RegisterTiles:
    """Emits the register tiles of one layer."""

    def __init__(self, plan: TiledPlan) -> None:
        """Keep what tiles are made of."""
        self.plan = plan
        self.vectors = range(plan.schedule.tile_vectors)

    def emit_row(self, place: Tile, tile_row: Any, emit_tile: Callable[[Tile], None]) -> None:
        """Emit one row of tiles: full ones in a loop, then the rest.

        Args:
            place: The image, the group and the block.
            tile_row: Which row, may be symbolic.
            emit_tile: Called once for each size of tile.
        """
        g, s = self.plan.geometry, self.plan.schedule
        full, rest = divmod(g.out_width, s.tile_columns)
        row = tile_start(tile_row, s.tile_rows, g.out_height)

        def emit(column: Any, columns: int) -> None:
            pixels = tuple(product(range(s.tile_rows), range(columns)))
            emit_tile(replace(place, row=row, column=column, pixels=pixels))

        if full:
            with T.serial(full) as index:
                emit(index * s.tile_columns, s.tile_columns)
        if rest:
            emit(full * s.tile_columns, rest)

    def emit_sums(self, operands: Operands, tile: Tile, first_chunk: Any, chunks: int) -> list[Any]:
        """Emit the sums of some chunks of one tile; return each pixel's int32 vectors in order.

        Args:
            operands: Buffers.
            tile: Which pixels and channels.
            first_chunk: The first of the chunks, may be symbolic.
            chunks: How many.
        """
        g, f, s = self.plan.geometry, self.plan.family, self.plan.schedule
        count = len(tile.pixels) * len(self.vectors)
        steps = _Steps(self.plan, operands, tile)
        outer_runs = s.outer_runs(g)
        if f.depth == 0 or (s.chunk_iterations and chunks * outer_runs == 1):
            (sums,) = _accumulators(count, (f.accumulator,))
            with T.grid(outer_runs, chunks * s.chunk_iterations) as (outer, index):
                steps.emit_added(outer, first_chunk * s.chunk_iterations + index, sums)
            totals = [_value(total) for total in sums]
            ends = [f.finish(f.fold(total) if f.depth else (total,)) for total in totals]
            return [part for parts in ends for part in parts]
        carried = list(zip(*_accumulators(count, f.carried), strict=True))
        with T.grid(outer_runs, chunks) as (outer, index):
            chunk = first_chunk + index
            if s.chunk_iterations:
                (sums,) = _accumulators(count, (f.accumulator,))
                with T.serial(s.chunk_iterations) as inner:
                    steps.emit_added(outer, chunk * s.chunk_iterations + inner, sums)
                for total, wide in zip(sums, carried, strict=True):
                    _fold(f, _value(total), wide)
            else:
                steps.emit_terms(outer, chunk, carried)
        ends = [f.finish(tuple(_value(part) for part in wide)) for wide in carried]
        return [part for parts in ends for part in parts]


class _Steps:
    """Emits the steps of one iteration of one tile's sums."""

    def __init__(self, plan: TiledPlan, operands: Operands, tile: Tile) -> None:
        g, s = plan.geometry, plan.schedule
        self.geometry, self.family, self.schedule = g, plan.family, s
        self.operands, self.tile = operands, tile
        self.vectors = range(s.tile_vectors)
        self.origin = (
            operands.start
            + tile.row * (g.stride[0] * g.row_codes)
            + tile.column * (g.stride[1] * g.channels)
            + tile.group * (g.channels // g.groups)
        )
        block = tile.group * s.blocks(g, plan.family) + tile.block
        self.first_step = block * s.steps(g)

    def emit_added(self, outer: Any, iteration: Any, sums: Sequence[Any]) -> None:
        """Emit every step of an iteration, each added to every accumulator in turn."""
        for step, read in self._inside(outer, iteration):
            codes = [self._code(read, pixel) for pixel in self.tile.pixels]
            for total, (code, vector) in zip(sums, product(codes, self.vectors), strict=True):
                value = self.family.multiply_add(_value(total), code, self._weight(step, vector))
                store(total, 0, value, int(total.shape[0]))

    def emit_terms(self, outer: Any, iteration: Any, carried: Sequence[Sequence[Any]]) -> None:
        """Emit an iteration: one expression for as many steps as the depth allows.

        No narrow sum outlives its accumulator's turn: registers are left for the carried ones.
        """
        f = self.family
        inside = list(self._inside(outer, iteration))
        places = list(product(self.tile.pixels, self.vectors))
        for first in range(0, len(inside), f.depth):
            for wide, (pixel, vector) in zip(carried, places, strict=True):
                total = None
                for step, read in inside[first : first + f.depth]:
                    code, weight = self._code(read, pixel), self._weight(step, vector)
                    total = f.multiply_add(total, code, weight)
                _fold(f, total, wide)

    def _inside(self, outer: Any, iteration: Any) -> list[tuple[Any, Any]]:
        """Return the number of each step of an iteration, and where it reads its codes."""
        g, s = self.geometry, self.schedule
        first = (outer * s.iterations + iteration) * (s.inside_positions * s.inside_runs)
        found = []
        for position in range(s.inside_positions):
            for run in range(s.inside_runs):
                read = g.run_offset(outer * s.inside_runs + run)
                read = read + (iteration * s.inside_positions + position) * self.family.products
                found.append((first + position * s.inside_runs + run, self.origin + read))
        return found

    def _code(self, read: Any, pixel: tuple[int, int]) -> Any:
        g = self.geometry
        offset = pixel[0] * g.stride[0] * g.row_codes + pixel[1] * g.stride[1] * g.channels
        return self.family.read_code(self.operands.codes, read + offset, self.operands.lookup)

    def _weight(self, step: Any, vector: int) -> Any:
        lanes = self.family.weight_lanes
        index = (self.first_step + step) * len(self.vectors) + vector
        place = self.operands.first_weight + index * lanes
        return self.family.read_weight(self.operands.weights, place)


def _fold(family: Family, total: Any, carried: Sequence[Any]) -> None:
    for wide, part in zip(carried, family.fold(total), strict=True):
        store(wide, 0, _value(wide) + part, int(wide.shape[0]))


def _value(buffer: Any) -> Any:
    return load(buffer, 0, int(buffer.shape[0]))


def _accumulators(count: int, types: Sequence[str]) -> list[list[Any]]:
    """Emit `count` zeroed vectors of each type; with constant indices they stay in registers."""
    result = []
    for vector_type in types:
        dtype, lanes = vector_type.split("x")[0], int(vector_type.split("x")[1])
        buffers = [local_vector(dtype, lanes) for _ in range(count)]
        for buffer in buffers:
            store(buffer, 0, T.broadcast(getattr(T, dtype)(0), lanes), lanes)
        result.append(buffers)
    return result
