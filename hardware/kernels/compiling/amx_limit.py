"""The limit of AMX: products of tiles alone, with everything they read in the first cache.

    for turn in range(200):
        for step in range(4):
            load two tiles of codes and two of weights
            add the four products of each of the one with each of the other

One call has 3,200 `tdpbusd` of 16,384 products: 52,428,800.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.amx_tiles import (
    ROW_BYTES,
    TILE_PIXELS,
    TILE_ROWS,
    TILE_VECTORS,
    clear,
    codes_tile,
    configured,
    load_tile,
    multiply,
    store_tile,
    sums_tile,
    weights_tile,
)

_ROUNDS, _STEPS = 200, 4
_TILE_BYTES = TILE_ROWS * ROW_BYTES
_PAIRS = tuple(product(range(TILE_PIXELS), range(TILE_VECTORS)))

AMX_LIMIT_PRODUCTS = float(_ROUNDS * _STEPS * len(_PAIRS) * TILE_ROWS * _TILE_BYTES)
"""Products of one call."""


def amx_limit_arguments() -> Sequence[npt.NDArray[Any] | None]:
    """Return arrays for one call: codes, weights, no lookup table, sums; all zeros."""
    return (
        np.zeros((TILE_PIXELS * TILE_ROWS, _STEPS * ROW_BYTES), np.uint8),
        np.zeros((_STEPS, TILE_VECTORS, TILE_ROWS, ROW_BYTES), np.int8),
        None,
        np.zeros((len(_PAIRS), TILE_ROWS, ROW_BYTES // 4), np.int32),
    )


def emit_amx_limit(codes: Any, weights: Any, sums: Any) -> None:
    """Emit the body of the kernel that computes the same sums many times."""
    row = _STEPS * ROW_BYTES
    with configured(TILE_ROWS, ROW_BYTES):
        for pair in _PAIRS:
            clear(sums_tile(*pair))
        with T.grid(_ROUNDS, _STEPS) as (_, step):
            for tile in range(TILE_PIXELS):
                load_tile(codes_tile(tile), codes, tile * TILE_ROWS * row + step * ROW_BYTES, row)
            for vector in range(TILE_VECTORS):
                place = (step * TILE_VECTORS + vector) * _TILE_BYTES
                load_tile(weights_tile(vector), weights, place, ROW_BYTES)
            for tile, vector in _PAIRS:
                multiply(sums_tile(tile, vector), codes_tile(tile), weights_tile(vector))
        for number, pair in enumerate(_PAIRS):
            store_tile(sums_tile(*pair), sums, number * _TILE_BYTES // 4, ROW_BYTES)
