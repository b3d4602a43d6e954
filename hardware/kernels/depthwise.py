"""Depthwise convolution in TensorIR: vectors run over channels, every target."""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emit import (
    Parameter,
    function,
    load,
    spread,
    store,
    tile_count,
    tile_start,
    vector_type,
)
from hardware.kernels.families import LANES
from hardware.kernels.geometry import Geometry
from hardware.kernels.padding import emit_padded_copy
from hardware.kernels.requantize import emit_output_vector

__all__ = ["depthwise_kernel"]

_TILE_COLUMNS = 4


def depthwise_kernel(symbol: str, geometry: Geometry, out_dtype: str) -> Any:
    """Return the TensorIR function of a convolution with one channel in each group.

    Its arguments are those of `direct.direct_kernel`, the weights int8 `[kernel_h, kernel_w, C]`.

    Args:
        symbol: Name of the compiled function.
        geometry: The layer's shapes; groups, channels and output channels are equal.
        out_dtype: `uint8`, `int16` or `float32` (logits).
    """
    g = geometry
    lanes, columns = min(g.channels, LANES), min(g.out_width, _TILE_COLUMNS)

    def body(
        codes: Any,
        weights: Any,
        bias: Any,
        multiplier: Any,
        limits: Any,
        border: Any,
        output: Any,
    ) -> None:
        scratch = T.alloc_buffer((g.image_codes,), "uint8") if g.is_padded else None
        with T.serial(g.batch) as image:
            if scratch is not None:
                emit_padded_copy(codes, scratch, border, g, image)
            read = codes if scratch is None else scratch
            base = image * g.image_codes if scratch is None else 0
            with T.grid(
                g.out_height, tile_count(g.out_width, columns), tile_count(g.channels, lanes)
            ) as (row, tile, vector):
                column = tile_start(tile, columns, g.out_width)
                channel = tile_start(vector, lanes, g.channels)
                origin = base + row * (g.stride[0] * g.row_codes)
                origin = origin + column * (g.stride[1] * g.channels) + channel
                sums = _emit_sums(read, origin, weights, channel, g, lanes, columns)
                for index, total in enumerate(sums):
                    pixel = (image * g.out_height + row) * g.out_width + column + index
                    emit_output_vector(
                        load(total, 0, lanes) + load(bias, channel, lanes),
                        load(multiplier, channel, lanes),
                        limits,
                        output,
                        pixel * g.channels + channel,
                        width=lanes,
                        real=lanes,
                    )

    parameters = (
        Parameter(name="codes", shape=(g.batch, g.height, g.width, g.channels), dtype="uint8"),
        Parameter(name="weights", shape=(*g.kernel, g.channels), dtype="int8"),
        Parameter(name="bias", shape=(g.channels,), dtype="int32"),
        Parameter(name="multiplier", shape=(g.channels,), dtype="float32"),
        Parameter(name="limits", shape=(3,), dtype="float32"),
        Parameter(name="border", shape=(1,), dtype="uint8"),
        Parameter(
            name="output", shape=(g.batch, g.out_height, g.out_width, g.channels), dtype=out_dtype
        ),
    )
    return function(symbol, parameters, body)


def _emit_sums(
    read: Any,
    origin: Any,
    weights: Any,
    channel: Any,
    g: Geometry,
    lanes: int,
    columns: int,
) -> list[Any]:
    """Emit the sums of neighbouring pixels of one row into registers, and return their buffers."""
    wide = vector_type("int32", lanes)
    sums = [T.alloc_buffer((lanes,), "int32", scope="local") for _ in range(columns)]
    for total in sums:
        store(total, 0, spread(T.int32(0), lanes), lanes)
    with T.serial(g.kernel[0]) as kernel_row:
        for kernel_column in range(g.kernel[1]):
            tap = (kernel_row * g.kernel[1] + kernel_column) * g.channels
            weight = T.Cast(wide, load(weights, tap + channel, lanes))
            offset = kernel_row * (g.dilation[0] * g.row_codes)
            offset = offset + kernel_column * g.dilation[1] * g.channels
            for index, total in enumerate(sums):
                position = origin + offset + index * g.stride[1] * g.channels
                code = T.Cast(wide, load(read, position, lanes))
                store(total, 0, load(total, 0, lanes) + code * weight, lanes)
    return sums
