"""Shapes of AMX's register tiles: how pixels, channels and codes are cut into tiles.

A register tile has one or two tiles of pixels and one or two of channels. Two tiles of pixels stand
in one row, or one above the other where a row is short:

    row of 56 pixels     14 + 14 | 14 + 14           two tiles of 14 pixels, twice
    rows of 14 pixels    14                          two rows of one tile
                         14

The last one of a row is moved back to end with it, and computes a few pixels again.

    >>> from hardware.kernels.shapes.geometry import Geometry
    >>> layer = Geometry(batch=1, height=14, width=14, channels=96, out_channels=64)
    >>> next(iter(amx_shapes(layer)))
    AmxShape(rows=2, columns=14, vectors=2, codes=48)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from hardware.kernels.emitting.amx_tiles import TILE_PIXELS, TILE_ROWS, TILE_VECTORS
from hardware.kernels.families.amx import AMX, tile_codes
from hardware.kernels.shapes.geometry import Geometry

# Cycles, for comparing shapes: a product of two tiles; the load of a tile; the end of one output
# vector; the loops around one register tile.
_PRODUCT, _LOAD, _OUTPUT, _TILE = 16.0, 8.0, 4.0, 40.0


@dataclass(frozen=True, slots=True)
class AmxShape:
    """One register tile."""

    rows: int
    """Rows of outputs, each of which has tiles of its own."""
    columns: int
    """Outputs of a row: those of one tile, or of two."""
    vectors: int
    """Tiles of 16 channels."""
    codes: int
    """Codes in a row of a tile."""


def amx_shapes(geometry: Geometry) -> Iterator[AmxShape]:
    """Yield the register tiles that a layer may have, the larger ones first.

    Args:
        geometry: The layer's shapes.
    """
    codes = tile_codes(geometry.run_codes)
    most_vectors = max(1, min(TILE_VECTORS, geometry.group_out_channels // AMX.channels))
    width = geometry.out_width
    even = ceil(width / ceil(width / TILE_ROWS))
    for vectors in range(most_vectors, 0, -1):
        for pixels in dict.fromkeys((even, min(width, TILE_ROWS))):
            # At equal cost, pixels of one row share cache lines.
            for rows, times in ((1, TILE_PIXELS), (TILE_PIXELS, 1), (1, 1)):
                if rows <= geometry.out_height and times * pixels <= width:
                    yield AmxShape(rows, times * pixels, vectors, codes)


def tiles_of(columns: int) -> int:
    """Return how many tiles of pixels a row of outputs takes, one or two."""
    return ceil(columns / TILE_ROWS)


def amx_cycles(geometry: Geometry, rows: int, columns: int, vectors: int) -> float:
    """Return about how many cycles a layer takes, to compare shapes.

    Args:
        geometry: The layer's shapes.
        rows: See `AmxShape`.
        columns: Likewise.
        vectors: Likewise.
    """
    pixels = columns // tiles_of(columns)
    full, rest = divmod(geometry.out_width, columns)
    steps = geometry.runs * ceil(geometry.run_codes / tile_codes(geometry.run_codes))

    def one(tiles: int) -> float:
        step = max(_PRODUCT * tiles * vectors, _LOAD * (tiles + vectors))
        return steps * step + tiles * pixels * vectors * _OUTPUT + _TILE

    row = full * one(rows * tiles_of(columns))
    if rest:
        row += one(rows * ceil(rest / pixels))
    blocks = ceil(geometry.group_out_channels / (vectors * AMX.channels))
    return row * ceil(geometry.out_height / rows) * blocks
