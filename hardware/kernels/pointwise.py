"""Kernels that compute each output from the code at its own place."""

from collections.abc import Callable
from math import prod
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
from hardware.kernels.requantize import narrowed, requantized

__all__ = ["add_kernel", "quantize_input_kernel", "requantize_kernel"]

_LANES = 16

_LIMITS = Parameter(name="limits", shape=(3,), dtype="float32")


def requantize_kernel(symbol: str, shape: tuple[int, ...], dtypes: tuple[str, str]) -> Any:
    """Return codes to codes of another scale: `(input, multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        shape: Shape of input and output, batch first.
        dtypes: Types of the input and the output.
    """

    def body(source: Any, multiplier: Any, limits: Any, output: Any) -> None:
        def emit(index: Any, lanes: int) -> None:
            scale = spread(multiplier[0], lanes)
            result = requantized(load(source, index, lanes), scale, limits, lanes)
            store(output, index, narrowed(result, dtypes[1], lanes), lanes)

        _emit_vectors(prod(shape), emit)

    parameters = (
        Parameter(name="input", shape=shape, dtype=dtypes[0]),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        _LIMITS,
        Parameter(name="output", shape=shape, dtype=dtypes[1]),
    )
    return function(symbol, parameters, body)


def add_kernel(symbol: str, shape: tuple[int, ...], dtypes: tuple[str, str, str]) -> Any:
    """Return the sum of two tensors: `(left, right, multipliers [2], clips [2], output)`.

    Args:
        symbol: Name of the compiled function.
        shape: Shape of inputs and output, batch first.
        dtypes: Types of the two inputs and the output.
    """

    def body(left: Any, right: Any, multipliers: Any, clips: Any, output: Any) -> None:
        def emit(index: Any, lanes: int) -> None:
            total = None
            for branch, source in enumerate((left, right)):
                real = T.Cast(vector_type("float32", lanes), load(source, index, lanes))
                term = T.nearbyint(real * spread(multipliers[branch], lanes))
                total = term if total is None else total + term
            # Sums of rounded terms are exact below 2^24; beyond it the clip decides.
            total = T.min(T.max(total, spread(clips[0], lanes)), spread(clips[1], lanes))
            store(output, index, narrowed(total, dtypes[2], lanes), lanes)

        _emit_vectors(prod(shape), emit)

    parameters = (
        Parameter(name="left", shape=shape, dtype=dtypes[0]),
        Parameter(name="right", shape=shape, dtype=dtypes[1]),
        Parameter(name="multipliers", shape=(2,), dtype="float32"),
        Parameter(name="clips", shape=(2,), dtype="float32"),
        Parameter(name="output", shape=shape, dtype=dtypes[2]),
    )
    return function(symbol, parameters, body)


def quantize_input_kernel(symbol: str, shape: tuple[int, ...]) -> Any:
    """Return floats to codes: `(input, multiplier [1], limits [3], output)`.

    Args:
        symbol: Name of the compiled function.
        shape: Shape of the float input, `[N, C, H, W]` or `[N, F]`; images come out channels-last.
    """
    out_shape = shape
    if len(shape) == 4:
        batch, channels, pixels = shape[0], shape[1], shape[2] * shape[3]
        out_shape = (batch, shape[2], shape[3], channels)
    else:
        batch, channels, pixels = 1, 1, prod(shape)

    def body(source: Any, multiplier: Any, limits: Any, output: Any) -> None:
        def emit(index: Any, lanes: int) -> None:
            scale = spread(multiplier[0], lanes)
            for channel in range(channels):
                value = load(source, (image * channels + channel) * pixels + index, lanes)
                codes = narrowed(requantized(value, scale, limits, lanes), "uint8", lanes)
                start = (image * pixels + index) * channels + channel
                where = T.ramp(start, channels, lanes) if lanes > 1 else start
                T.buffer_store(output, codes, [where])

        with T.serial(batch) as image:
            _emit_vectors(pixels, emit)

    parameters = (
        Parameter(name="input", shape=shape, dtype="float32"),
        Parameter(name="multiplier", shape=(1,), dtype="float32"),
        _LIMITS,
        Parameter(name="output", shape=out_shape, dtype="uint8"),
    )
    return function(symbol, parameters, body)


def _emit_vectors(size: int, emit: Callable[[Any, int], None]) -> None:
    """Emit a loop over vectors that cover `size` neighbours; the last one may overlap."""
    lanes = _LANES if size >= _LANES else 1
    with T.serial(tile_count(size, lanes)) as index:
        emit(tile_start(index, lanes, size), lanes)
