"""Schedule: how the work of one layer is cut into register tiles and steps."""

from dataclasses import dataclass

from hardware.kernels.families import LANES, Family
from hardware.kernels.geometry import Geometry

__all__ = ["Schedule", "make_schedule"]


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

    def blocks(self, geometry: Geometry) -> int:
        """Return the blocks of output channels of one group."""
        return -(-(geometry.out_channels // geometry.groups) // (LANES * self.tile_vectors))

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


def make_schedule(
    geometry: Geometry, family: Family, tile: tuple[int, int, int] | None = None
) -> Schedule:
    """Return the schedule of one layer.

    Args:
        geometry: The layer's shapes.
        family: How products are summed.
        tile: Rows, columns and vectors of the register tile; None takes the cheapest by `tiles`.
    """
    tile = tile or (
        1,
        min(4, geometry.out_width),
        2 if geometry.out_channels // geometry.groups >= 16 else 1,
    )
    steps = -(-geometry.run_codes // family.products)
    runs, chunks, length = _chunks(geometry.runs, steps, family.depth)
    return Schedule(
        tile_rows=tile[0],
        tile_columns=tile[1],
        tile_vectors=tile[2],
        chunk_runs=runs,
        chunk_steps=length,
        run_chunks=chunks,
        unroll=max(u for u in (1, 2, 3, 4) if length % u == 0),
    )


def _chunks(runs: int, steps: int, depth: int) -> tuple[int, int, int]:
    """Return runs in a chunk, chunks in a run, and steps of a run in a chunk.

    A chunk holds at most `depth` steps: several whole runs, or an even part of one.
    """
    if depth == 0:
        return 1, 1, steps
    if steps <= depth:
        most = depth // steps
        return max(n for n in range(1, runs + 1) if n <= most and runs % n == 0), 1, steps
    chunks = -(-steps // depth)
    return 1, chunks, -(-steps // chunks)
