"""Schedule: how the work of one layer is cut into register tiles and steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from hardware.kernels.families import LANES, Family
from hardware.kernels.geometry import Geometry

__all__ = ["Schedule", "make_schedule"]

_ACCUMULATORS = 8
"""Vectors that are summed at once: with weights and codes they fill 16 registers."""
_PAIRED_ACCUMULATORS = 4
"""The same where each has a 16-bit and a 32-bit part that are both needed every few steps; with 8,
registers are spilled inside the loop (measured: 6 bits 4 % and 7 by 6 bits 5 % slower)."""
_LONG_CHUNK_STEPS = 12
"""Steps after which spilling the 32-bit parts between chunks no longer counts."""
_SHORT_CHUNK_STEPS = 2
"""Most steps that are written as one expression, without 16-bit parts that outlive it."""
_VECTORS = 4
"""Most vectors of channels in a tile; wider ones gain nothing (measured on a matrix product)."""
_WHOLE_SUM_STEPS = 12
"""Steps of a whole sum up to which LLVM unrolls it, and no loop is left to spill in."""
_UNROLLED_PRODUCTS = 16
"""Multiplications written one after another; with more, registers are spilled (measured: twice as
many made 8 bits 5 % slower)."""

# Instructions, for comparing tiles: a multiplication and an addition; the end of one output vector;
# the loops around one tile.
_PRODUCT, _OUTPUT, _TILE = 2.0, 12.0, 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A register tile, and the order of the steps of one sum."""

    tile_rows: int
    tile_columns: int
    """The tile's output pixels are `tile_rows * tile_columns`."""
    tile_vectors: int
    """Vectors of `LANES` output channels in the tile."""
    chunk_runs: int
    """Runs whose steps are added before widening; divides the window's runs."""
    chunk_steps: int
    """Steps of each run that are added before widening."""
    run_chunks: int
    """Chunks of one run, which zero weights fill up to `run_chunks * chunk_steps` steps."""
    unroll: int
    """Steps written one after another; divides `chunk_steps`."""

    @property
    def run_steps(self) -> int:
        """Steps of one run."""
        return self.run_chunks * self.chunk_steps

    @property
    def is_short_chunk(self) -> bool:
        """Whether a chunk is so few steps that they are written as one expression."""
        return self.chunk_runs == 1 and self.chunk_steps <= _SHORT_CHUNK_STEPS

    def blocks(self, geometry: Geometry) -> int:
        """Return the blocks of output channels of one group."""
        return ceil(geometry.group_out_channels / (LANES * self.tile_vectors))

    def weight_shape(self, geometry: Geometry, family: Family) -> tuple[int, int, int, int]:
        """Return `[blocks of all groups, steps, vectors, LANES * products]`."""
        return (
            geometry.groups * self.blocks(geometry),
            geometry.runs * self.run_steps,
            self.tile_vectors,
            LANES * family.products,
        )

    def overread_codes(self, geometry: Geometry, family: Family) -> int:
        """Return how many codes after a run its last step reads, against weights of zero."""
        return self.run_steps * family.products - geometry.run_codes

    def reads_copy(self, geometry: Geometry, family: Family) -> bool:
        """Return whether the codes are copied first: for a border, for width, or for a slack."""
        return (
            geometry.is_padded
            or family.code_dtype != "uint8"
            or self.overread_codes(geometry, family) > 0
        )

    def scratch_codes(self, geometry: Geometry, family: Family) -> int:
        """Return the length of the copy of one image."""
        return geometry.image_codes + self.overread_codes(geometry, family)


def make_schedule(geometry: Geometry, family: Family) -> Schedule:
    """Return the schedule of one layer: of all tiles that fit the registers, the cheapest.

    Args:
        geometry: The layer's shapes.
        family: How products are summed.
    """
    steps = ceil(geometry.run_codes / family.products)
    chunk_runs, run_chunks, chunk_steps = _chunks(geometry.runs, steps, family.depth)
    chunks = geometry.runs * run_chunks // chunk_runs
    tiles = _tiles(geometry, _accumulators(family, chunks, chunk_runs * chunk_steps))
    widenings = chunks if family.depth else 0
    all_steps = geometry.runs * run_chunks * chunk_steps

    def instructions(tile: tuple[int, int, int]) -> float:
        rows, columns, vectors = tile
        pixels = rows * columns
        sums = pixels * vectors
        one_step = _PRODUCT * sums + pixels + vectors + 1
        one_tile = all_steps * one_step + (widenings * _PRODUCT + _OUTPUT) * sums + _TILE
        return (
            ceil(geometry.out_height / rows)
            * ceil(geometry.out_width / columns)
            * ceil(geometry.group_out_channels / (LANES * vectors))
            * one_tile
        )

    rows, columns, vectors = min(tiles, key=instructions)
    return Schedule(
        tile_rows=rows,
        tile_columns=columns,
        tile_vectors=vectors,
        chunk_runs=chunk_runs,
        chunk_steps=chunk_steps,
        run_chunks=run_chunks,
        unroll=next(n for n in (4, 2, 1) if _is_unrolled(n, chunk_steps, rows * columns * vectors)),
    )


def _tiles(geometry: Geometry, accumulators: int) -> Iterator[tuple[int, int, int]]:
    """Yield tiles of at most so many accumulators: `(rows, columns, vectors)`.

    Narrow ones in height come first: at equal cost, pixels of one row share cache lines.
    """
    # A group of fewer channels than one vector still takes one.
    most = min(accumulators, _VECTORS, max(1, geometry.group_out_channels // LANES))
    for vectors in range(1, most + 1):
        pixels = accumulators // vectors
        for rows in range(1, min(pixels, geometry.out_height) + 1):
            for columns in range(1, min(pixels // rows, geometry.out_width) + 1):
                yield rows, columns, vectors


def _accumulators(family: Family, chunks: int, steps: int) -> int:
    """Return how many accumulators fit the registers, for so many chunks of so many steps."""
    is_whole = chunks == 1 or chunks * steps <= _WHOLE_SUM_STEPS
    if family.depth and not is_whole and _SHORT_CHUNK_STEPS < steps < _LONG_CHUNK_STEPS:
        return _PAIRED_ACCUMULATORS
    return _ACCUMULATORS


def _is_unrolled(steps: int, chunk_steps: int, sums: int) -> bool:
    """Return whether so many steps are written one after another."""
    return steps == 1 or (chunk_steps % steps == 0 and steps * sums <= _UNROLLED_PRODUCTS)


def _chunks(runs: int, steps: int, depth: int) -> tuple[int, int, int]:
    """Return runs in a chunk, chunks in a run, and steps of a run in a chunk.

    A chunk holds at most `depth` steps: several whole runs, or an even part of one.
    """
    if depth == 0:
        return 1, 1, steps
    if steps <= depth:
        most = depth // steps
        return max(n for n in range(1, runs + 1) if n <= most and runs % n == 0), 1, steps
    chunks = ceil(steps / depth)
    return 1, chunks, ceil(steps / chunks)
