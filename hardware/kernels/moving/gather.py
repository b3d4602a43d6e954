"""Kernels that gather codes: pooling windows and concatenation.

    pooling:
        for image, row, column, vector of channels:        # `_emit_windows`
            for kernel_row, kernel_column:                 # `_Window.emit_reads`
                take the codes there, if they lie inside the image
            output = the largest of them, or their sum, requantized

    concatenation:
        for image, row, column:
            for part in parts:                             # a0 a1 | b0 b1 b2 -> a0 a1 b0 b1 b2
                for vector of the part's channels: output = input

A window of 3x3 with padding 1 takes four codes in the first corner of the image: the others lie
outside, and count for nothing in a maximum or a sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import (
    Parameter,
    function,
    load,
    local_vector,
    splat,
    store,
    tile_count,
    tile_start,
    vector_type,
    when,
)
from hardware.kernels.epilogue.requantize import narrow_codes, requantize_vector
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.layout import Layout

_LANES = 16


def max_pool_kernel(symbol: str, geometry: Geometry, dtype: str) -> Any:
    """Return the kernel of maxima over windows: `(input, output)`, both of `dtype`.

    Args:
        symbol: Name of the compiled function.
        geometry: Shapes and borders, with output channels equal to channels.
        dtype: `uint8` or `int16`.
    """
    lowest = T.int16(-32768) if dtype == "int16" else T.uint8(0)

    def body(source: Any, output: Any) -> None:
        def emit_window(window: _Window) -> None:
            lanes = window.lanes
            best = local_vector(dtype, lanes)
            store(best, 0, splat(lowest, lanes), lanes)

            def take(value: Any) -> None:
                store(best, 0, T.max(load(best, 0, lanes), value), lanes)

            window.emit_reads(source, take)
            store(output, window.output, load(best, 0, lanes), lanes)

        _emit_windows(geometry, emit_window)

    source, output = _shapes(geometry)
    parameters = (
        Parameter(name="input", shape=source, dtype=dtype),
        Parameter(name="output", shape=output, dtype=dtype),
    )
    return function(symbol, parameters, body)


def avg_pool_kernel(symbol: str, geometry: Geometry, dtypes: tuple[str, str]) -> Any:
    """Return the kernel of sums over windows: `(input, multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        geometry: Shapes, with output channels equal to channels.
        dtypes: Types of the input and the output.
    """

    def body(source: Any, multiplier: Any, limits: Any, output: Any) -> None:
        def emit_window(window: _Window) -> None:
            lanes = window.lanes
            total = local_vector("int32", lanes)
            store(total, 0, splat(T.int32(0), lanes), lanes)

            def take(value: Any) -> None:
                wide = T.Cast(vector_type("int32", lanes), value)
                store(total, 0, load(total, 0, lanes) + wide, lanes)

            window.emit_reads(source, take)
            scale = splat(multiplier[0], lanes)
            codes = requantize_vector(load(total, 0, lanes), scale, limits, lanes)
            store(output, window.output, narrow_codes(codes, dtypes[1], lanes), lanes)

        _emit_windows(geometry, emit_window)

    source, output = _shapes(geometry)
    parameters = (
        Parameter(name="input", shape=source, dtype=dtypes[0]),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="output", shape=output, dtype=dtypes[1]),
    )
    return function(symbol, parameters, body)


def concat_kernel(
    symbol: str,
    layouts: Sequence[Layout],
    shapes: Sequence[tuple[int, ...]],
    dtype: str,
) -> Any:
    """Return the kernel that joins tensors along the last axis: `(inputs..., output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the inputs and the output.
        shapes: Shapes of the inputs and the output as they are stored, border included.
        dtype: Type of all tensors.
    """
    *parts, whole = layouts

    def body(*buffers: Any) -> None:
        *sources, output = buffers
        with T.grid(whole.batch, whole.height, whole.width) as (image, row, column):
            place = whole.row(image, row) + column * whole.channels
            for part, source in zip(parts, sources, strict=True):
                first = part.row(image, row) + column * part.channels
                lanes = min(part.channels, _LANES)
                with T.serial(tile_count(part.channels, lanes)) as tile:
                    start = tile_start(tile, lanes, part.channels)
                    store(output, place + start, load(source, first + start, lanes), lanes)
                place = place + part.channels

    parameters = [
        Parameter(name=f"input{index}", shape=shape, dtype=dtype)
        for index, shape in enumerate(shapes[:-1])
    ]
    output = Parameter(name="output", shape=shapes[-1], dtype=dtype)
    return function(symbol, [*parameters, output], body)


@dataclass(frozen=True, slots=True)
class _Window:
    """One vector of channels of one output pixel; places may be symbolic."""

    geometry: Geometry
    lanes: int
    image: Any
    row: Any
    column: Any
    channel: Any
    output: Any
    """Where the result goes in the flat output."""

    def emit_reads(self, source: Any, take: Callable[[Any], None]) -> None:
        """Emit `take` for every code of the window that lies inside the image."""
        g = self.geometry
        with T.grid(*g.kernel) as (kernel_row, kernel_column):
            row = self.row * g.stride[0] + kernel_row - g.padding[0]
            column = self.column * g.stride[1] + kernel_column - g.padding[1]
            index = g.in_place(self.image, row, column) + self.channel
            if not g.is_padded:
                take(load(source, index, self.lanes))
                return
            inside = T.And(T.And(row >= 0, row < g.height), T.And(column >= 0, column < g.width))
            with when(inside):
                take(load(source, index, self.lanes))


def _emit_windows(g: Geometry, emit_window: Callable[[_Window], None]) -> None:
    """Emit the loops over output pixels and vectors of channels."""
    lanes = min(g.channels, _LANES)
    vectors = tile_count(g.channels, lanes)
    with T.grid(g.batch, g.out_height, g.out_width, vectors) as (image, row, column, vector):
        channel = tile_start(vector, lanes, g.channels)
        place = g.out_place(image, row, column) + channel
        emit_window(_Window(g, lanes, image, row, column, channel, place))


def _shapes(g: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    (in_rows, in_columns), (out_rows, out_columns) = g.in_border, g.out_border
    return (
        (g.batch, g.height + 2 * in_rows, g.width + 2 * in_columns, g.channels),
        (g.batch, g.out_height + 2 * out_rows, g.out_width + 2 * out_columns, g.channels),
    )
