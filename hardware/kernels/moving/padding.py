"""The kernel that puts rows and columns of the zero point around images of codes.

An image of 2x3 pixels, a, in an output of 4x6, with `before` = (1, 2):

    z z z z z z      fill_rows(image, 0, above)
    z z a a a z      fill(start, left), move(...), fill(..., right)      for each row of the image
    z z a a a z
    z z z z z z      fill_rows(image, end, outer.height - end)
"""

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
)
from hardware.kernels.shapes.layout import Layout

_LANES = 32


def pad_kernel(
    symbol: str,
    layouts: tuple[Layout, Layout],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    before: tuple[int, int],
    dtype: str,
) -> Any:
    """Return the kernel that copies into the middle: `(input, zero_point [1], output)`.

    Rows and columns of the output that `before` leaves over go below and to the right.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the input and the output.
        shapes: Shapes of the input and the output as they are stored, border included.
        before: Rows above and columns to the left.
        dtype: Type of all tensors.
    """
    inner, outer = layouts
    above, left = before[0], before[1] * outer.channels
    right = outer.row_values - inner.row_values - left

    def body(source: Any, zero_point: Any, output: Any) -> None:
        def fill(start: Any, count: int) -> None:
            if count == 0:
                return
            lanes = min(count, _LANES)
            with T.serial(tile_count(count, lanes)) as tile:
                value = splat(zero_point[0], lanes)
                store(output, start + tile_start(tile, lanes, count), value, lanes)

        def fill_rows(image: Any, first: int, count: int) -> None:
            if count > 0:
                with T.serial(count) as row:
                    fill(outer.row(image, row + first), outer.row_values)

        def move(first: Any, start: Any) -> None:
            lanes = min(inner.row_values, _LANES)
            with T.serial(tile_count(inner.row_values, lanes)) as tile:
                place = tile_start(tile, lanes, inner.row_values)
                store(output, start + place, load(source, first + place, lanes), lanes)

        with T.serial(outer.batch) as image:
            fill_rows(image, 0, above)
            with T.serial(inner.height) as row:
                start = outer.row(image, row + above)
                fill(start, left)
                move(inner.row(image, row), start + left)
                fill(start + (left + inner.row_values), right)
            end = above + inner.height
            fill_rows(image, end, outer.height - end)

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype=dtype),
        Parameter(name="zero_point", shape=(1,), dtype=dtype),
        Parameter(name="output", shape=shapes[1], dtype=dtype),
    )
    return function(symbol, parameters, body)
