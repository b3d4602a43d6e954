"""The kernel of products of two tensors, one of which may hold one value a channel.

    for image, row, column, vector of channels:
        term[branch] = code[branch] - zero_points[branch]      # of both tensors, in int32
        output = requantized(term[0] * term[1])

A tensor of one pixel, such as the scales of a squeeze-and-excite block, is read again for every
pixel of the output. With three channels and zero points of 0, before they are requantized:

    left      a0 a1 a2              b0 b1 b2              two pixels
    right     s0 s1 s2                                    one pixel
    output    a0 s0  a1 s1  a2 s2   b0 s0  b1 s1  b2 s2
"""

from collections.abc import Callable, Sequence
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    load,
    spread,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.requantize import narrowed, requantized
from hardware.kernels.shapes.layout import Layout

__all__ = ["multiply_kernel"]

_LANES = 16


def multiply_kernel(
    symbol: str,
    layouts: Sequence[Layout],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
) -> Any:
    """Return the kernel of products.

    Its arguments are `(left, right, zero_points [2], multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the two inputs and the output; an input of one pixel an image is read again for
            every pixel of the output.
        shapes: Of all three as they are stored, border included.
        dtypes: Types of all three.
    """

    def body(
        left: Any, right: Any, zero_points: Any, multiplier: Any, limits: Any, output: Any
    ) -> None:
        def emit(places: Sequence[Any], lanes: int) -> None:
            product = None
            for branch, source in enumerate((left, right)):
                code = T.Cast(vector_type("int32", lanes), load(source, places[branch], lanes))
                # Codes have sixteen bits, so that products fit into int32.
                term = code - spread(zero_points[branch], lanes)
                product = term if product is None else product * term
            codes = requantized(product, spread(multiplier[0], lanes), limits, lanes)
            store(output, places[2], narrowed(codes, dtypes[2], lanes), lanes)

        _emit_places(layouts, emit)

    parameters = (
        Parameter(name="left", shape=shapes[0], dtype=dtypes[0]),
        Parameter(name="right", shape=shapes[1], dtype=dtypes[1]),
        Parameter(name="zero_points", shape=(2,), dtype="int32"),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="output", shape=shapes[2], dtype=dtypes[2]),
    )
    return function(symbol, parameters, body)


def _emit_places(layouts: Sequence[Layout], emit: Callable[[Sequence[Any], int], None]) -> None:
    """Emit the loops over pixels and vectors of channels; a last vector may overlap another."""
    *_, out = layouts
    lanes = min(out.channels, _LANES)
    with T.grid(out.batch, out.height, out.width, tile_count(out.channels, lanes)) as (
        image,
        row,
        column,
        tile,
    ):
        channel = tile_start(tile, lanes, out.channels)
        places = []
        for layout in layouts:
            one = (layout.height, layout.width) == (1, 1)
            first = layout.row(image, 0 if one else row)
            places.append(first + (0 if one else column * out.channels) + channel)
        emit(places, lanes)
