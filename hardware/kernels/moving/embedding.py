"""The kernel of an embedding: numbers of tokens pick rows of codes.

for image, token, vector of the row's codes:
    output[token] = table[clip(number of the token)]
"""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    load,
    store,
    tile_count,
    tile_start,
)

_LANES = 32


def embedding_kernel(
    symbol: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    dtype: str,
) -> Any:
    """Return the kernel: `(input, table, output)`.

    Args:
        symbol: Name of the compiled function.
        shapes: Of the numbers `[N, T]`, float32; of the table `[rows, F]`; and of the output as it
            is stored, without a border.
        dtype: Type of the table and the output.
    """
    (batch, tokens), (rows, size) = shapes[0], shapes[1]
    lanes = min(size, _LANES)

    def body(source: Any, table: Any, output: Any) -> None:
        with T.grid(batch, tokens, tile_count(size, lanes)) as (image, token, tile):
            place, start = image * tokens + token, tile_start(tile, lanes, size)
            inside = T.min(T.max(source[place], T.float32(0)), T.float32(rows - 1))
            row = T.Cast("int32", inside)
            store(output, place * size + start, load(table, row * size + start, lanes), lanes)

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype="float32"),
        Parameter(name="table", shape=shapes[1], dtype=dtype),
        Parameter(name="output", shape=shapes[2], dtype=dtype),
    )
    return function(symbol, parameters, body)
