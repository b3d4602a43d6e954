"""Schedule: how the work of one layer is cut into register tiles and steps.

A register tile is a few pixels times a few vectors of channels; its sums stay in registers. They
walk through a window's runs (see `Geometry`) step by step:

    for outer in range(outer_runs):                      # runs / inside_runs
        for chunk in range(chunks):                      # panels * panel_chunks
            for iteration in range(chunk_iterations):
                for position in range(inside_positions):     # these two are written out,
                    for run in range(inside_runs):           # one step after another
                        a step: multiply `products` codes of each pixel, which stand at this
                        position of this run, by `tile_vectors` vectors of weights
            fold narrow sums into wide ones              # in a family with a depth

A 3x3 convolution of 64 channels, four codes a step: a window has 3 runs of 192 codes, which are 48
positions. The three runs are inside, so that one loop of 48 iterations has 3 steps each. The tile
has 1x5 pixels and 2 vectors of 8 channels; 4 such blocks make 64 output channels.

    >>> from hardware.kernels.families.vnni import AVX_VNNI
    >>> g = Geometry(batch=1, height=14, width=14, channels=64, out_channels=64,
    ...              kernel=(3, 3), padding=(1, 1))
    >>> s = make_schedule(g, AVX_VNNI)
    >>> s.tile_rows, s.tile_columns, s.tile_vectors, s.blocks(g, AVX_VNNI)
    (1, 5, 2, 4)
    >>> s.inside_runs, s.inside_positions, s.chunk_iterations, s.chunks, s.steps(g)
    (3, 1, 48, 1, 144)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from hardware.kernels.families.amx import Amx
from hardware.kernels.families.family import Family
from hardware.kernels.schedule.amx_shapes import amx_cycles, amx_shapes
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transform import TileGrid

_VECTORS = 8
"""Most vectors of weights in a tile."""
_USUAL_VECTORS = 4
_WIDE_TILE = 1.08
"""What wider tiles cost beyond their instructions (measured)."""
_RUNS_INSIDE = 9
"""Most runs whose steps are written one after another."""
_TERMS = 6
"""Most steps that are added up as one expression and folded at once."""

_NEAR_BYTES = 24 * 1024
"""Weights of a block that stay in the first cache beside the codes; more come from the second."""
_PANEL_BYTES = 16 * 1024
"""Weights of one panel."""
_CACHE_BYTES = 2**20
"""Size of a usual second cache, for transformed weights that are read again and again."""
_TRANSFORM_TILES = 16
"""Tiles from which a kernel may transform weights anew: with so many, that takes a tenth of the
time of the weights' products."""
_FEW_PLACES = 16
"""Most places of a transform that a kernel may take over for weights."""
_STRIP_BYTES = 16 * 1024
"""Sums of one strip."""
_GROUPS = (64, 128)
"""Most tiles of a group: with its sums, half a MiB of the second cache at 64 (measured: fewer than
32 take weights too often; beyond 64 little is gained)."""

# Instructions, for comparing tiles: the end of one output vector; the loops around one tile.
_OUTPUT, _TILE = 10.0, 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A register tile, and the order of the steps of one sum.

    A sum walks `outer_runs` times over the positions of `inside_runs` runs. An iteration of the
    inmost loop has the steps of `inside_positions` positions in each of these runs.
    """

    tile_rows: int
    tile_columns: int
    """The tile has `tile_rows * tile_columns` output pixels; the last tile of a row has fewer
    columns where the full ones leave a rest."""
    tile_vectors: int
    """Vectors of weights in the tile."""
    inside_runs: int
    """Runs of one iteration; divides the window's runs."""
    inside_positions: int
    """Positions of one iteration."""
    chunk_iterations: int
    """Iterations that are added up before they are folded. 0: an iteration is a chunk, and each
    `Family.depth` steps of it are added up as one expression and folded at once."""
    panel_chunks: int
    """Chunks of one panel."""
    panels: int = 1
    """Equal parts of the positions; zero weights fill the last one up. With more than one, all
    tiles of a strip walk through a panel before the next one, so that its weights stay in the first
    cache."""
    strip_tiles: int = 1
    """Rows of tiles of a strip; divides the rows of tiles. Their sums are kept between panels."""
    group_tiles: int = 0
    """Tiles of outputs that a Winograd kernel transforms together; 0 in a direct kernel. Its
    register tiles are those of a group's products at one place (see `TileGrid.products`), where a
    tile of outputs is one pixel."""
    transforms_weights: bool = False
    """Whether a Winograd kernel transforms the weights of a block itself, before it uses them."""

    @property
    def chunks(self) -> int:
        """Chunks of all positions."""
        return self.panels * self.panel_chunks

    @property
    def iterations(self) -> int:
        """Iterations of the inmost loops together, for each of the outer runs."""
        return self.chunks * max(1, self.chunk_iterations)

    @property
    def positions(self) -> int:
        """Positions of one run, with those that zero weights fill up."""
        return self.iterations * self.inside_positions

    def outer_runs(self, geometry: Geometry) -> int:
        """Return how often a sum walks over the positions."""
        return geometry.runs // self.inside_runs

    def blocks(self, geometry: Geometry, family: Family) -> int:
        """Return the blocks of output channels of one group."""
        return ceil(geometry.group_out_channels / (family.channels * self.tile_vectors))

    def weight_shape(self, geometry: Geometry, family: Family) -> tuple[int, int, int, int]:
        """Return `[blocks of all groups, steps, vectors, weight_lanes]`."""
        return (
            geometry.groups * self.blocks(geometry, family),
            self.steps(geometry),
            self.tile_vectors,
            family.weight_lanes,
        )

    def steps(self, geometry: Geometry) -> int:
        """Return the steps of one sum."""
        return geometry.runs * self.positions

    def overread_codes(self, geometry: Geometry, family: Family) -> int:
        """Return how many codes the last step of a run reads beyond it, against weights of zero."""
        return self.positions * family.products - geometry.run_codes


def make_schedule(geometry: Geometry, family: Family) -> Schedule:
    """Return the schedule of one layer that costs least by estimate, without measuring.

    Args:
        geometry: The layer's shapes.
        family: How products are summed.
    """
    return candidates(geometry, family)[0]


@lru_cache(maxsize=4096)
def candidates(geometry: Geometry, family: Family) -> tuple[Schedule, ...]:
    """Return every schedule worth a measurement, the most promising one first."""
    found = [
        (_instructions(geometry, family, schedule), index, schedule)
        for index, schedule in enumerate(_schedules(geometry, family))
    ]
    return tuple(schedule for _, _, schedule in sorted(found, key=lambda item: item[:2]))


def _schedules(geometry: Geometry, family: Family) -> Iterator[Schedule]:
    if isinstance(family, Amx):
        yield from _of_amx(geometry)
        return
    if not family.winograd:
        yield from _of_products(geometry, family)
        return
    grid = TileGrid.of(geometry, family.transform)
    for tiles in dict.fromkeys(_even_part(grid.tiles, most) for most in _GROUPS):
        is_many = _TRANSFORM_TILES <= tiles == grid.tiles
        transforms = is_many and _outgrow_cache(geometry, family)
        # Larger tiles need longer transforms: reading what comes of them is faster (measured).
        transforms = transforms and len(family.transform.places) <= _FEW_PLACES
        for schedule in _of_products(grid.products(geometry, tiles), family):
            yield replace(schedule, group_tiles=tiles, transforms_weights=transforms)


def _outgrow_cache(geometry: Geometry, family: Family) -> bool:
    """Return whether a layer's transformed weights outgrow the second cache.

    They then come from memory: 16 of them for 9 before or more, and wider ones.
    """
    weight_bytes = family.vector_bytes // family.weight_lanes
    places = len(family.transform.places)
    return places * geometry.channels * geometry.out_channels * weight_bytes > _CACHE_BYTES


def _even_part(whole: int, most: int) -> int:
    """Return the size, `most` or less, of equal parts that cover a whole with least overlap."""
    fewest = ceil(whole / most)
    counts = range(fewest, min(2 * fewest, whole) + 1)
    return ceil(whole / min(counts, key=lambda count: (count * ceil(whole / count), count)))


def _of_amx(geometry: Geometry) -> Iterator[Schedule]:
    """Yield register tiles made of AMX's; an iteration is one row of a tile of codes."""
    for shape in amx_shapes(geometry):
        yield Schedule(
            tile_rows=shape.rows,
            tile_columns=shape.columns,
            tile_vectors=shape.vectors,
            inside_runs=1,
            inside_positions=shape.codes // 4,
            chunk_iterations=ceil(geometry.run_codes / shape.codes),
            panel_chunks=1,
        )


def _of_products(geometry: Geometry, family: Family) -> Iterator[Schedule]:
    inside_runs = max(n for n in range(1, _RUNS_INSIDE + 1) if geometry.runs % n == 0)
    positions = ceil(geometry.run_codes / family.products)
    for rows, columns, vectors in _tiles(geometry, family):
        for inside, chunk_iterations in _chunks(family, inside_runs, geometry.runs, positions):
            whole = Schedule(
                tile_rows=rows,
                tile_columns=columns,
                tile_vectors=vectors,
                inside_runs=inside_runs,
                inside_positions=inside,
                chunk_iterations=chunk_iterations,
                panel_chunks=ceil(ceil(positions / inside) / max(1, chunk_iterations)),
            )
            yield whole
            yield from _panels(geometry, family, whole)


def _panels(geometry: Geometry, family: Family, whole: Schedule) -> Iterator[Schedule]:
    """Yield the same schedule in panels, where the weights of a block outgrow the first cache."""
    block_bytes = whole.steps(geometry) * whole.tile_vectors * family.vector_bytes
    tile_rows = geometry.out_height // whole.tile_rows
    # A tile that is moved back would add its sums twice.
    is_split = (
        whole.outer_runs(geometry) == 1 and tile_rows * whole.tile_rows == geometry.out_height
    )
    is_split = is_split and family.panels and not family.winograd
    if block_bytes <= _NEAR_BYTES or not is_split:
        return
    panels = ceil(block_bytes / _PANEL_BYTES)
    row_bytes = 4 * whole.tile_rows * geometry.out_width * whole.tile_vectors * family.channels
    strip = max(
        n
        for n in range(1, tile_rows + 1)
        if (tile_rows % n == 0 and n * row_bytes <= _STRIP_BYTES) or n == 1
    )
    if family.depth == 0:
        iterations = ceil(whole.chunk_iterations / panels)
        yield replace(whole, panels=panels, chunk_iterations=iterations, strip_tiles=strip)
        return
    panels = min(panels, whole.panel_chunks)
    if panels > 1:
        chunks = ceil(whole.panel_chunks / panels)
        yield replace(whole, panels=panels, panel_chunks=chunks, strip_tiles=strip)


def _chunks(
    family: Family, inside_runs: int, runs: int, positions: int
) -> Iterator[tuple[int, int]]:
    """Yield positions of an iteration and iterations of a chunk."""
    most = family.most_inside // inside_runs
    if family.depth and not family.terms:
        most = min(most, family.depth // inside_runs)
    inside = max(1, min(positions, most))
    while positions % inside and inside > 1:
        inside -= 1
    if family.depth == 0:
        yield inside, ceil(positions / inside)
        return
    if family.depth >= inside_runs * inside:
        # Even chunks: as few as the depth allows, each as short as that number allows.
        most = family.depth // (inside_runs * inside)
        iterations = ceil(positions / inside)
        yield inside, ceil(iterations / ceil(iterations / most))
    if family.terms and (family.depth <= _TERMS or family.depth < runs * positions):
        most = max(1, min(positions, min(family.depth, _TERMS) // inside_runs))
        divisor = max(n for n in range(1, most + 1) if positions % n == 0)
        yield from dict.fromkeys(((most, 0), (divisor, 0)))


def _tiles(geometry: Geometry, family: Family) -> Iterator[tuple[int, int, int]]:
    """Yield tiles of few enough accumulators: `(rows, columns, vectors)`.

    Narrow ones in height come first: at equal cost, pixels of one row share cache lines.
    """
    # A group of fewer channels than one vector still takes one.
    most = max(1, min(_VECTORS, geometry.group_out_channels // family.channels))
    for vectors in range(1, most + 1):
        most_sums = family.most_sums(vectors)
        for rows in range(1, min(most_sums, geometry.out_height) + 1):
            if rows > 1 and geometry.out_width >= family.sums_in_registers(vectors):
                break
            for columns in range(1, min(most_sums, geometry.out_width) + 1):
                if rows * columns * vectors <= most_sums:
                    yield rows, columns, vectors


def _instructions(geometry: Geometry, family: Family, schedule: Schedule) -> float:
    """Return about how many instructions a layer takes, or cycles where AMX multiplies."""
    if isinstance(family, Amx):
        size = (schedule.tile_rows, schedule.tile_columns, schedule.tile_vectors)
        return amx_cycles(geometry, *size)
    if not family.winograd:
        return _of_pixels(geometry, family, schedule)
    grid = TileGrid.of(geometry, family.transform)
    products = grid.products(geometry, schedule.group_tiles)
    groups = ceil(grid.tiles / schedule.group_tiles)
    # Transforms cost nearly the same in all schedules.
    return len(family.transform.places) * groups * _of_pixels(products, family, schedule)


def _of_pixels(geometry: Geometry, family: Family, schedule: Schedule) -> float:
    """Return about how many instructions the register tiles of a geometry take."""
    s = schedule
    full, rest = divmod(geometry.out_width, s.tile_columns)
    one_row = full * _tile_instructions(geometry, family, s, s.tile_columns)
    if rest:
        one_row += _tile_instructions(geometry, family, s, rest)
    total = one_row * ceil(geometry.out_height / s.tile_rows) * s.blocks(geometry, family)
    return total * (_WIDE_TILE if s.tile_vectors > _USUAL_VECTORS else 1.0)


def _tile_instructions(
    geometry: Geometry, family: Family, schedule: Schedule, columns: int
) -> float:
    s = schedule
    pixels = s.tile_rows * columns
    sums = pixels * s.tile_vectors
    block_bytes = s.steps(geometry) * s.tile_vectors * family.vector_bytes
    is_near = s.panels > 1 or block_bytes <= _NEAR_BYTES
    one_step = family.step_cost(pixels, s.tile_vectors, is_near=is_near)
    folds = 0.0
    if family.depth and s.chunk_iterations:
        # Both kinds of accumulators do not fit the registers: one is read and written in memory.
        folds = 3.0 * len(family.carried) * s.chunks * s.outer_runs(geometry)
    elif family.depth:
        # The first term of each expression is not added to anything.
        inside = s.inside_runs * s.inside_positions
        folds = 1.0 * s.iterations * s.outer_runs(geometry) * ceil(inside / family.depth)
        # Weights of several steps are needed at once, unless few are, each as it is used.
        if pixels > 1 or family.depth > _TERMS:
            folds += 0.5 * s.steps(geometry)
    spilled = max(0, sums - family.sums_in_registers(s.tile_vectors))
    spills = 4.0 * spilled * s.iterations * s.outer_runs(geometry) / 8
    outputs = (_OUTPUT + 3.0 * (s.panels - 1)) * family.wide_vectors * sums
    loop = 2.0 * s.iterations * s.outer_runs(geometry)
    return s.steps(geometry) * one_step + folds * sums + spills + outputs + loop + _TILE
