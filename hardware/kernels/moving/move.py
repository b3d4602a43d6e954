"""Kernels that copy codes from elsewhere: in another order, or what is the same for every image.

    move, of a matrix of 2x3 that is turned around, with `sizes` (3, 2) and `steps` (1, 3):
        for image, column, row: output[column, row] = input[row, column]

The innermost loop goes over vectors where it reads neighbours; else value by value.
"""

from collections.abc import Sequence
from math import prod
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


def move_kernel(
    symbol: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    offset: int,
    sizes: Sequence[int],
    steps: Sequence[int],
    dtype: str,
) -> Any:
    """Return the kernel of `quant.strides`: `(input, output)`.

    Args:
        symbol: Name of the compiled function.
        shapes: Of the input and the output, batch first, without borders.
        offset: The first place in an image of the input.
        sizes: Of the loops, the innermost last.
        steps: Of the loops.
        dtype: Type of both tensors.
    """
    batch, read, made = shapes[0][0], prod(shapes[0][1:]), prod(shapes[1][1:])
    (*outer, inner), (*outer_steps, inner_step) = (sizes or (1,)), (steps or (1,))
    lanes = min(inner, _LANES) if inner_step == 1 else 1

    def body(source: Any, output: Any) -> None:
        with T.grid(batch, *outer, tile_count(inner, lanes)) as (image, *places, tile):
            start = tile_start(tile, lanes, inner)
            first, place = image * read + offset + start * inner_step, image * made + start
            size = inner
            for index, count, step in reversed(list(zip(places, outer, outer_steps, strict=True))):
                first, place = first + index * step, place + index * size
                size *= count
            store(output, place, load(source, first, lanes), lanes)

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype=dtype),
        Parameter(name="output", shape=shapes[1], dtype=dtype),
    )
    return function(symbol, parameters, body)


def constant_kernel(symbol: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Return the kernel that writes constant codes for every image: `(codes, output)`.

    Args:
        symbol: Name of the compiled function.
        shape: Of the output, batch first, without borders.
        dtype: Type of the codes.
    """
    size = prod(shape[1:])
    lanes = min(size, _LANES)

    def body(codes: Any, output: Any) -> None:
        with T.grid(shape[0], tile_count(size, lanes)) as (image, tile):
            start = tile_start(tile, lanes, size)
            store(output, image * size + start, load(codes, start, lanes), lanes)

    parameters = (
        Parameter(name="codes", shape=shape[1:], dtype=dtype),
        Parameter(name="output", shape=shape, dtype=dtype),
    )
    return function(symbol, parameters, body)
