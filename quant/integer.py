"""The integer semantics of docs/integers.md, computed in numpy: the reference for every kernel.

Slow and plain on purpose. Sums of products run as float64 matrix products, which are exact here:
every partial sum is an integer below 2**53.

A layer of three inputs with zero point 2 and one output with zero point 3, of 4-bit codes:

    codes 5 1 3, less the zero point            3   -1    1
    times the weights 2 -1 3, added up          6  + 1  + 3  =  10
    plus the bias of 240                        250
    times the multiplier of 0.01                2.5
    rounded, ties to the even number            2
    plus the zero point, clipped to 0 .. 15     5

    >>> epilogue = Epilogue(bias=np.array([240], np.int32), zero_point=3, clip_max=15,
    ...                     multiplier=np.array([0.01], np.float32))
    >>> layer = Linear(layer="fc", input="x", output="y", weight=np.array([[2, -1, 3]], np.int8),
    ...                weight_bits=3, activation_bits=4, input_zero_point=2, epilogue=epilogue)
    >>> run_op(layer, np.array([[5, 1, 3]], np.uint8))
    array([[5]], dtype=int32)
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from quant.deploy_graph import (
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOp,
    Dequantize,
    Embedding,
    Epilogue,
    Linear,
    Lookup,
    MatMul,
    MaxPool2d,
    Move,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
    RunIsland,
    read_names,
)
from quant.errors import ConvertError

_Array = npt.NDArray[Any]


def requantize(
    accumulator: _Array,
    multiplier: _Array | float,
    zero_point: int,
    clip_min: int,
    clip_max: int,
) -> npt.NDArray[np.int32]:
    """Bring integers to another scale: clip(rint(f32(acc) * m) + z, clip_min, clip_max).

    Exactly one float32 multiplication, then round to nearest with ties to even, then integers.
    Source: docs/integers.md, "Requantization".
    """
    scaled = accumulator.astype(np.float32) * np.asarray(multiplier, dtype=np.float32)
    # Beyond int32 the sum with z would wrap; the clip decides there, and float64 holds both.
    rounded = np.rint(scaled).astype(np.float64) + zero_point
    return cast(npt.NDArray[np.int32], np.clip(rounded, clip_min, clip_max).astype(np.int32))


def run_graph(
    graph: DeployGraph,
    x: npt.NDArray[np.float32],
    keep: dict[str, _Array] | None = None,
    given: Mapping[str, _Array] | None = None,
) -> _Array:
    """Run a converted network.

    Args:
        graph: The converted network.
        x: float32 `[N, C, H, W]` (or `[N, F]`), as the user's PyTorch network takes it.
        keep: When given, filled with every tensor by name.
        given: Tensors that take the place of what their operators compute: what float islands made
            elsewhere, so that all that follows is exact again.

    Returns:
        The output tensor, float32 `[N, classes]` for a classifier.
    """
    x = np.asarray(x, dtype=np.float32)
    shape = (len(x), *graph.tensors[graph.input].shape)
    values: dict[str, _Array] = {graph.input: x.reshape(shape) if x.ndim == 3 else x}
    for name in graph.zeros:
        values[name] = np.zeros((len(x), *graph.tensors[name].shape), graph.tensors[name].dtype)
    for op in graph.ops:
        if given is not None and op.output in given:
            values[op.output] = given[op.output]
            continue
        result = run_op(op, *(values[name] for name in read_names(op)))
        if isinstance(op, Constant):
            result = np.repeat(result, len(x), axis=0)
        values[op.output] = result.astype(graph.tensors[op.output].dtype)
    if keep is not None:
        keep.update(values)
    return values[graph.output]


def run_op(op: DeployOp, *inputs: _Array) -> _Array:
    """Run one operator on channels-last inputs with a leading batch axis.

    Integer results come back as integers of any width (the graph's tensor says how they are
    stored); a layer whose epilogue makes logits returns float32. A constant is of one image.
    """
    return _RUN[type(op)](op, *inputs)


def _quantize_input(op: QuantizeInput, x: _Array) -> _Array:
    if x.ndim == 4 and not op.last:
        x = x.transpose(0, 2, 3, 1)
    scaled = x.astype(np.float32) * np.float32(op.multiplier)
    codes: _Array = np.clip(
        np.rint(scaled).astype(np.float64) + op.zero_point, op.clip_min, op.clip_max
    )
    return codes.astype(np.int32)


def _dequantize(op: Dequantize, x: _Array) -> _Array:
    if x.ndim == 4 and not op.last:
        x = x.transpose(0, 3, 1, 2)
    return (x.astype(np.int32) - op.zero_point).astype(np.float32) * np.float32(op.multiplier)


def _run_island(op: RunIsland, *inputs: _Array) -> _Array:
    # Imported here: everything else does without torch, which takes seconds to import.
    from quant.capture.float_island import run_island

    return run_island(op.module, inputs)


def _windows(
    x: _Array, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> _Array:
    """Return `[N, OH, OW, C, KH, KW]` views of a padded `[N, H, W, C]` array."""
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def _pad(x: _Array, padding: tuple[int, int], value: int) -> _Array:
    (ph, pw) = padding
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=value)


def _epilogue(accumulator: _Array, epilogue: Epilogue) -> _Array:
    total = accumulator + epilogue.bias
    if np.abs(total).max(initial=0) > np.iinfo(np.int32).max:
        raise ConvertError("an accumulator left int32: the layer is too deep for its codes")
    if epilogue.logits:
        return total.astype(np.float32) * epilogue.multiplier
    return requantize(
        total, epilogue.multiplier, epilogue.zero_point, epilogue.clip_min, epilogue.clip_max
    )


def _conv2d(op: Conv2d, x: _Array) -> _Array:
    padded = _pad(x.astype(np.int32), op.padding, op.input_zero_point)
    windows = _windows(padded, op.weight.shape[1:3], op.stride, op.dilation)
    out_channels, in_channels = op.weight.shape[0], op.weight.shape[3]
    group_out = out_channels // op.groups
    parts = []
    for group in range(op.groups):
        channels = slice(group * in_channels, (group + 1) * in_channels)
        block = windows[:, :, :, channels].astype(np.float64) - op.input_zero_point
        weight = op.weight[group * group_out : (group + 1) * group_out].astype(np.float64)
        parts.append(np.tensordot(block, weight.transpose(3, 1, 2, 0), axes=3))
    accumulator = np.concatenate(parts, axis=-1).astype(np.int64)
    return _epilogue(accumulator, op.epilogue)


def _linear(op: Linear, x: _Array) -> _Array:
    centred = x.astype(np.float64) - op.input_zero_point
    return _epilogue((centred @ op.weight.astype(np.float64).T).astype(np.int64), op.epilogue)


def _requantize(op: Requantize, x: _Array) -> _Array:
    return requantize(x, op.multiplier, op.zero_point, op.clip_min, op.clip_max)


def _add(op: Add, a: _Array, b: _Array) -> _Array:
    branches = [
        np.rint(value.astype(np.float32) * np.float32(m)).astype(np.int64)
        for value, m in zip((a, b), op.multipliers, strict=True)
    ]
    total: _Array = np.clip(branches[0] + branches[1], op.clip_min, op.clip_max)
    return total.astype(np.int32)


def _multiply(op: Multiply, a: _Array, b: _Array) -> _Array:
    left, right = (
        value.astype(np.int64) - zero_point
        for value, zero_point in zip((a, b), op.input_zero_points, strict=True)
    )
    return requantize(left * right, op.multiplier, op.zero_point, op.clip_min, op.clip_max)


def _matmul(op: MatMul, a: _Array, b: _Array) -> _Array:
    left, right = (
        value.reshape(len(value), *shape).astype(np.float64) - zero_point
        for value, shape, zero_point in zip(
            (a, b), (op.matrices.left, op.matrices.right), op.input_zero_points, strict=True
        )
    )
    products = left @ (right.swapaxes(-2, -1) if op.matrices.turned else right)
    codes = requantize(
        products.astype(np.int64), op.multiplier, op.zero_point, op.clip_min, op.clip_max
    )
    return codes.reshape(len(a), *op.shape)


def _lookup(op: Lookup, x: _Array) -> _Array:
    return op.table[x]


def _max_pool(op: MaxPool2d, x: _Array) -> _Array:
    padded = _pad(x.astype(np.int32), op.padding, WIDE_MIN)
    largest: _Array = _windows(padded, op.kernel, op.stride).max(axis=(-2, -1))
    return largest


def _avg_pool(op: AvgPool2d, x: _Array) -> _Array:
    padded = _pad(x.astype(np.int64), op.padding, 0)
    total = _windows(padded, op.kernel, op.stride).sum(axis=(-2, -1))
    return requantize(total, op.multiplier, op.zero_point, op.clip_min, op.clip_max)


def _reshape(op: Reshape, x: _Array) -> _Array:
    return x.reshape(x.shape[0], *op.shape)


def _move(op: Move, x: _Array) -> _Array:
    return x.reshape(x.shape[0], -1)[:, op.strides.places()].reshape(x.shape[0], *op.shape)


def _embedding(op: Embedding, x: _Array) -> _Array:
    rows = np.clip(x, 0, len(op.table) - 1).astype(np.int64)
    return op.table[rows].reshape(len(x), *op.shape)


def _constant(op: Constant) -> _Array:
    return op.codes[None]


def _concat(op: Concat, *inputs: _Array) -> _Array:
    return np.concatenate(inputs, axis=op.axis if op.axis < 0 else op.axis + 1)


def _pad2d(op: Pad2d, x: _Array) -> _Array:
    rows, columns = zip(op.before, op.after, strict=True)
    return np.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=op.zero_point)


_RUN: dict[type, Callable[..., _Array]] = {
    QuantizeInput: _quantize_input,
    Conv2d: _conv2d,
    Linear: _linear,
    Requantize: _requantize,
    Add: _add,
    Multiply: _multiply,
    MatMul: _matmul,
    Lookup: _lookup,
    MaxPool2d: _max_pool,
    AvgPool2d: _avg_pool,
    Reshape: _reshape,
    Move: _move,
    Embedding: _embedding,
    Constant: _constant,
    Concat: _concat,
    Pad2d: _pad2d,
    Dequantize: _dequantize,
    RunIsland: _run_island,
}
