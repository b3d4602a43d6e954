"""AMX's tile registers: eight tables of up to 16 rows of 64 bytes, and what is done with them.

    tile    holds       rows                            bytes of a row
    0 .. 3  sums        a pixel each                    16 channels of 32 bits
    4, 5    codes       a pixel each                    `codes` of them, unsigned
    6, 7    weights     four codes each (`codes / 4`)   4 weights of each of 16 channels, signed

`multiply(0, 4, 6)` adds to sum [p][c] the products of all codes of row p with the weights of
channel c: 16 * 64 * 16 products where rows are full.

Rows and bytes of each tile are told by 64 bytes that `configured` loads. A thread has tiles of its
own: each that multiplies has to load them. `tilerelease` empties them, so that Linux need not save
8 KiB when it switches threads.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tvm.tirx.script import builder as T

TILE_ROWS = 16
"""Most rows of a tile."""
ROW_BYTES = 64
"""Most bytes of a row."""
TILE_PIXELS, TILE_VECTORS = 2, 2
"""Most tiles of codes and of weights at a time; the sums of each pair have a tile."""
_CODES, _WEIGHTS = TILE_PIXELS * TILE_VECTORS, TILE_PIXELS * TILE_VECTORS + TILE_PIXELS
_PALETTE = 1
_FIRST_BYTES, _FIRST_ROWS = 16, 48
"""Places in a configuration of 64 bytes: two for each tile's bytes of a row, one for its rows."""


def sums_tile(pixels: int, vector: int) -> int:
    """Return which tile has the sums of one tile of codes with one of weights."""
    return pixels * TILE_VECTORS + vector


def codes_tile(pixels: int) -> int:
    """Return which tile has the codes of some pixels."""
    return _CODES + pixels


def weights_tile(vector: int) -> int:
    """Return which tile has the weights of some channels."""
    return _WEIGHTS + vector


def tile_configuration(pixels: int, codes: int) -> bytes:
    """Return what `ldtilecfg` reads.

    Args:
        pixels: Rows of codes and of sums.
        codes: Codes of a row, a multiple of four.
    """
    layout = bytearray(ROW_BYTES)
    layout[0] = _PALETTE
    sizes = [(pixels, ROW_BYTES)] * _CODES
    sizes += [(pixels, codes)] * TILE_PIXELS + [(codes // 4, ROW_BYTES)] * TILE_VECTORS
    for tile, (rows, row_bytes) in enumerate(sizes):
        layout[_FIRST_BYTES + 2 * tile] = row_bytes
        layout[_FIRST_ROWS + tile] = rows
    return bytes(layout)


@contextmanager
def configured(pixels: int, codes: int) -> Iterator[None]:
    """Emit the block with tiles of these sizes, and their release.

    Args:
        pixels: See `tile_configuration`.
        codes: Likewise.
    """
    layout = tile_configuration(pixels, codes)
    words = T.alloc_buffer((len(layout) // 8,), "int64")
    for word in range(len(layout) // 8):
        value = int.from_bytes(layout[8 * word : 8 * word + 8], "little")
        T.buffer_store(words, T.int64(value), [word])
    _emit("ldtilecfg", T.address_of(words[0]))
    yield
    _emit("tilerelease")


def clear(tile: int) -> None:
    """Emit zeros in every row."""
    _emit("tilezero", T.int8(tile))


def load_tile(tile: int, buffer: Any, place: Any, row_bytes: Any) -> None:
    """Emit the load of a tile.

    Args:
        tile: Which.
        buffer: Flat.
        place: Of the first row's first element.
        row_bytes: From one row to the next.
    """
    _emit("tileloadd64", T.int8(tile), T.address_of(buffer[place]), T.int64(row_bytes))


def store_tile(tile: int, buffer: Any, place: Any, row_bytes: int) -> None:
    """Emit the store of a tile (see `load_tile`)."""
    _emit("tilestored64", T.int8(tile), T.address_of(buffer[place]), T.int64(row_bytes))


def multiply(sums: int, codes: int, weights: int) -> None:
    """Emit the products of two tiles, added to a third."""
    _emit("tdpbusd", T.int8(sums), T.int8(codes), T.int8(weights))


def _emit(name: str, *arguments: Any) -> None:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.x86.{name}")
    T.evaluate(T.call_llvm_intrin(intrinsic, *arguments, dtype="void"))
