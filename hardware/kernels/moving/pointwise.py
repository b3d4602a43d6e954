"""Kernels that compute each output from the codes at its own place.

    for image, row, vector of the row's values:       # `_emit_vectors`; an addition, for example:
        left = rint(f32(left code) * multipliers[0])
        right = rint(f32(right code) * multipliers[1])
        output = clip(left + right)

A product is of both codes less their zero points, in int32. A tensor of one pixel, such as the
scales of a squeeze-and-excite block, is read again for every pixel of the output. With three
channels and zero points of 0, before they are requantized:

    left      a0 a1 a2              b0 b1 b2              two pixels
    right     s0 s1 s2                                    one pixel
    output    a0 s0  a1 s1  a2 s2   b0 s0  b1 s1  b2 s2

The network's input comes plane by plane and leaves channels-last; logits go back the same way. Two
planes of three pixels:

    [N, C, H, W]     a0 a1 a2   b0 b1 b2
    channels-last    a0 b0   a1 b1   a2 b2       every second place belongs to one plane
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    load,
    splat,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.epilogue.requantize import narrow_codes, requantize_vector
from hardware.kernels.shapes.layout import Layout

_LANES = 16

Shapes = Sequence[tuple[int, ...]]
"""Shapes of the inputs and the output as they are stored, border included."""

_LIMITS = Parameter(name="limits", shape=(3,), dtype="float32")


def requantize_kernel(
    symbol: str, layouts: tuple[Layout, Layout], shapes: Shapes, dtypes: tuple[str, str]
) -> Any:
    """Return the kernel to another scale: `(input, multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the input and the output.
        shapes: See `Shapes`.
        dtypes: Types of the input and the output.
    """

    def body(source: Any, multiplier: Any, limits: Any, output: Any) -> None:
        def emit(places: Sequence[Any], lanes: int) -> None:
            scale = splat(multiplier[0], lanes)
            result = requantize_vector(load(source, places[0], lanes), scale, limits, lanes)
            store(output, places[1], narrow_codes(result, dtypes[1], lanes), lanes)

        _emit_vectors(layouts, emit)

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype=dtypes[0]),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        _LIMITS,
        Parameter(name="output", shape=shapes[1], dtype=dtypes[1]),
    )
    return function(symbol, parameters, body)


def add_kernel(
    symbol: str,
    layouts: tuple[Layout, Layout, Layout],
    shapes: Shapes,
    dtypes: tuple[str, str, str],
) -> Any:
    """Return the kernel of a sum: `(left, right, multipliers [2], clips [2], output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the two inputs and the output.
        shapes: See `Shapes`.
        dtypes: Types of the two inputs and the output.
    """

    def body(left: Any, right: Any, multipliers: Any, clips: Any, output: Any) -> None:
        def emit(places: Sequence[Any], lanes: int) -> None:
            total = None
            for branch, source in enumerate((left, right)):
                real = T.Cast(vector_type("float32", lanes), load(source, places[branch], lanes))
                term = T.nearbyint(real * splat(multipliers[branch], lanes))
                total = term if total is None else total + term
            # Sums of rounded terms are exact below 2^24; beyond it the clip decides.
            total = T.min(T.max(total, splat(clips[0], lanes)), splat(clips[1], lanes))
            store(output, places[2], narrow_codes(total, dtypes[2], lanes), lanes)

        _emit_vectors(layouts, emit)

    parameters = (
        Parameter(name="left", shape=shapes[0], dtype=dtypes[0]),
        Parameter(name="right", shape=shapes[1], dtype=dtypes[1]),
        Parameter(name="multipliers", shape=(2,), dtype="float32"),
        Parameter(name="clips", shape=(2,), dtype="float32"),
        Parameter(name="output", shape=shapes[2], dtype=dtypes[2]),
    )
    return function(symbol, parameters, body)


def multiply_kernel(
    symbol: str, layouts: Sequence[Layout], shapes: Shapes, dtypes: Sequence[str]
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
                term = code - splat(zero_points[branch], lanes)
                product = term if product is None else product * term
            codes = requantize_vector(product, splat(multiplier[0], lanes), limits, lanes)
            store(output, places[2], narrow_codes(codes, dtypes[2], lanes), lanes)

        _emit_places(layouts, emit)

    parameters = (
        Parameter(name="left", shape=shapes[0], dtype=dtypes[0]),
        Parameter(name="right", shape=shapes[1], dtype=dtypes[1]),
        Parameter(name="zero_points", shape=(2,), dtype="int32"),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        _LIMITS,
        Parameter(name="output", shape=shapes[2], dtype=dtypes[2]),
    )
    return function(symbol, parameters, body)


def quantize_input_kernel(
    symbol: str,
    shape: tuple[int, ...],
    layout: Layout,
    out_shape: tuple[int, ...],
    dtype: str = "uint8",
) -> Any:
    """Return the kernel from floats to codes: `(input, multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        shape: Shape of the float input, `[N, C, H, W]` or `[N, F]`; images come out channels-last.
        layout: Of the output.
        out_shape: Shape of the output as it is stored.
        dtype: Type of the output.
    """
    planes = layout.channels
    if len(shape) == 2:
        # The values of a vector are one row of pixels of one channel.
        (layout,) = layout.join_rows()
        layout = replace(layout, width=layout.row_values, channels=1)
        planes = 1

    def body(source: Any, multiplier: Any, limits: Any, output: Any) -> None:
        lanes = _LANES if layout.width >= _LANES else 1
        scale = splat(multiplier[0], lanes)
        with T.grid(layout.batch, layout.height, tile_count(layout.width, lanes)) as (
            image,
            row,
            tile,
        ):
            column = tile_start(tile, lanes, layout.width)
            for plane in range(planes):
                line = (image * planes + plane) * layout.height + row
                value = load(source, line * layout.width + column, lanes)
                codes = narrow_codes(requantize_vector(value, scale, limits, lanes), dtype, lanes)
                place = layout.row(image, row) + column * planes + plane
                where = T.ramp(place, planes, lanes) if lanes > 1 else place
                T.buffer_store(output, codes, [where])

    parameters = (
        Parameter(name="input", shape=shape, dtype="float32"),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        _LIMITS,
        Parameter(name="output", shape=out_shape, dtype=dtype),
    )
    return function(symbol, parameters, body)


def dequantize_kernel(
    symbol: str, layout: Layout, shapes: tuple[tuple[int, ...], tuple[int, ...]], dtype: str
) -> Any:
    """Return the kernel from codes to floats: `(input, multiplier [1], zero_point [1], output)`.

    Args:
        symbol: Name of the compiled function.
        layout: Of the input, channels-last.
        shapes: Of the input as it is stored, and of the output `[N, C, H, W]` or `[N, F]`.
        dtype: Type of the input.
    """

    def body(source: Any, multiplier: Any, zero_point: Any, output: Any) -> None:
        planes, vector = layout.channels, len(shapes[1]) == 2
        with T.grid(layout.batch, layout.height, layout.width, planes) as (
            image,
            row,
            column,
            plane,
        ):
            code = source[layout.row(image, row) + column * planes + plane]
            # The difference is exact in float32: codes have sixteen bits.
            value = (T.Cast("float32", code) - zero_point[0]) * multiplier[0]
            place = ((image * planes + plane) * layout.height + row) * layout.width + column
            if vector:
                place = layout.row(image, row) + column * planes + plane
            T.buffer_store(output, value, [place])

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype=dtype),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        Parameter(name="zero_point", shape=(1,), dtype="float32"),
        Parameter(name="output", shape=shapes[1], dtype="float32"),
    )
    return function(symbol, parameters, body)


def dequantize_in_place_kernel(
    symbol: str, layouts: tuple[Layout, Layout], shapes: Shapes, dtype: str
) -> Any:
    """Return the kernel from codes to floats in the same order.

    Its arguments are `(input, multiplier [1], zero_point [1], output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the input and the output.
        shapes: See `Shapes`.
        dtype: Type of the input.
    """

    def body(source: Any, multiplier: Any, zero_point: Any, output: Any) -> None:
        def emit(places: Sequence[Any], lanes: int) -> None:
            # By way of int32, as in `narrow_codes`; the difference is exact in float32.
            code = T.Cast(vector_type("int32", lanes), load(source, places[0], lanes))
            real = T.Cast(vector_type("float32", lanes), code) - splat(zero_point[0], lanes)
            store(output, places[1], real * splat(multiplier[0], lanes), lanes)

        _emit_vectors(layouts, emit)

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype=dtype),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        Parameter(name="zero_point", shape=(1,), dtype="float32"),
        Parameter(name="output", shape=shapes[1], dtype="float32"),
    )
    return function(symbol, parameters, body)


def _emit_vectors(layouts: Sequence[Layout], emit: Callable[[Sequence[Any], int], None]) -> None:
    """Emit a loop over vectors that cover every row; a row's last one may overlap.

    Args:
        layouts: Of tensors of equal shapes.
        emit: Called with a vector's place in each of them, and its lanes.
    """
    layouts = layouts[0].join_rows(*layouts[1:])
    one = layouts[0]
    lanes = _LANES if one.row_values >= _LANES else 1
    with T.grid(one.batch, one.height, tile_count(one.row_values, lanes)) as (image, row, tile):
        start = tile_start(tile, lanes, one.row_values)
        emit([layout.row(image, row) + start for layout in layouts], lanes)


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
