"""The integer network in torch: quick, and equal to `quant.integer` to the bit."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from quant.capture.float_operators import (
    as_images,
    channels_first,
    channels_last,
    matrices_value,
    moved,
)
from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    DeployGraph,
    DeployOutput,
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
from quant.outputs import NamedTensors, main_tensor
from quant.tensors.devices import CPU, scoring_device
from quant.tensors.moving import like, move

Codes = torch.Tensor
"""Integers in a float tensor, channels-first; between the operators of an island, floats."""

_EXACT_FLOAT32 = 2**24
"""Float32 sums of integers are exact while every partial sum stays below this."""


def integer_logits(
    graph: DeployGraph, images: torch.Tensor, device: torch.device = CPU
) -> torch.Tensor:
    """Return the main output, float32 `[N, classes]` of a classifier (see `integer_outputs`)."""
    return main_tensor(integer_outputs(graph, images, device))


@torch.no_grad()
def integer_outputs(
    graph: DeployGraph, images: torch.Tensor, device: torch.device = CPU
) -> NamedTensors:
    """Return what the network returns, equal to `quant.integer.run_graph` to the bit.

    Codes are held channels-first in float tensors; convolutions run in float64, or in float32
    where every partial sum is below 2**24, and are exact either way.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`.
        device: Where to compute, if that is as exact: on the CPU where the device has no float64,
            and where the network has float islands, whose sums have another order elsewhere.
    """
    device = integers_on(graph, device)
    values: dict[str, torch.Tensor] = {graph.input: as_images(move(images, device))}
    with _exact_sums(device):
        for op in graph.ops:
            read = (values[name] for name in read_names(op))
            made = like(_RUN[type(op)](op, *read), values[graph.input])
            if isinstance(op, Constant):
                made = made.expand(len(images), *made.shape[1:])
            values[op.output] = made
    found = (_returned(each, values[each.tensor]) for each in graph.returned)
    return NamedTensors(found, graph.outputs)


def integers_on(graph: DeployGraph, device: torch.device) -> torch.device:
    """Return where `integer_outputs` computes a network that was trained on a device."""
    return CPU if any(isinstance(op, RunIsland) for op in graph.ops) else scoring_device(device)


@contextmanager
def _exact_sums(device: torch.device) -> Iterator[None]:
    """Keep libraries from computing convolutions and products in ways whose sums are no integers.

    NNPACK and cuDNN convolve by transforms (Winograd, FFT) where that is quicker, and CUDA
    multiplies in TF32, of ten bits, where it may.
    """
    with ExitStack() as behind:
        behind.enter_context(torch.backends.nnpack.flags(enabled=False))
        if device.type == "cuda":
            behind.enter_context(torch.backends.cudnn.flags(enabled=False))
            precision = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
            behind.callback(torch.set_float32_matmul_precision, precision)
        yield


def _returned(output: DeployOutput, value: torch.Tensor) -> torch.Tensor:
    value = channels_last(value) if output.rows else value
    return value.reshape(len(value), *output.shape)


def _quantize(op: QuantizeInput, x: Codes) -> Codes:
    return _rescale(op, channels_first(x) if op.last else x)


def _rescale(op: QuantizeInput | Requantize | Multiply | MatMul | AvgPool2d, x: Codes) -> Codes:
    return _requantize(x, op.multiplier, op.zero_point, op.clip_min, op.clip_max)


def _dequantize(op: Dequantize, x: Codes) -> Codes:
    return ((channels_last(x) if op.last else x) - op.zero_point) * op.multiplier


def _run_island(op: RunIsland, *inputs: Codes) -> Codes:
    made: Codes = op.module(*inputs)
    return made


def _add(op: Add, *inputs: Codes) -> Codes:
    parts = [(v * m).round() for v, m in zip(inputs, op.multipliers, strict=True)]
    return (parts[0] + parts[1]).clamp_(op.clip_min, op.clip_max)


def _multiply(op: Multiply, *inputs: Codes) -> Codes:
    left, right = (v.double() - z for v, z in zip(inputs, op.input_zero_points, strict=True))
    return _rescale(op, (left * right).float())  # exact before, and then rounded once


def _matmul(op: MatMul, *inputs: Codes) -> Codes:
    centred = [v.double() - z for v, z in zip(inputs, op.input_zero_points, strict=True)]
    products = matrices_value(op.matrices, centred).float()  # exact before, and then rounded once
    return channels_first(_rescale(op, products).reshape(len(products), *op.shape))


def _lookup(op: Lookup, x: Codes) -> Codes:
    return like(torch.from_numpy(op.table.astype(np.float32)), x)[x.long()]


def _max_pool(op: MaxPool2d, x: Codes) -> Codes:
    return functional.max_pool2d(x, op.kernel, op.stride, op.padding)


def _pad(op: Pad2d, x: Codes) -> Codes:
    (above, left), (below, right) = op.before, op.after
    return functional.pad(x, (left, right, above, below), value=op.zero_point)


def _avg_pool(op: AvgPool2d, x: Codes) -> Codes:
    total = functional.avg_pool2d(x.double(), op.kernel, op.stride, op.padding, divisor_override=1)
    return _rescale(op, total.float())


def _reshape(op: Reshape, x: Codes) -> Codes:
    return channels_first(channels_last(x).reshape(len(x), *op.shape))


def _move(op: Move, x: Codes) -> Codes:
    *places, channels = op.shape
    return moved(x, op.strides, (channels, *places))


def _embedding(op: Embedding, x: Codes) -> Codes:
    rows = x.clamp(0, len(op.table) - 1).long()
    made = torch.from_numpy(op.table.astype(np.float32))[rows]
    return channels_first(made.reshape(len(x), *op.shape))


def _constant(op: Constant) -> Codes:
    return channels_first(torch.from_numpy(op.codes.astype(np.float32))[None])


def _concat(op: Concat, *inputs: Codes) -> Codes:
    return torch.cat(inputs, dim=1 if op.axis < 0 else op.axis + 2)


def _requantize(
    value: torch.Tensor, multiplier: Any, zero_point: int, low: int, high: int
) -> torch.Tensor:
    # Rounding in float32, clipping shifted by z before adding it: codes stay exact in float32.
    codes: torch.Tensor = (
        (value * multiplier).round_().clamp_(low - zero_point, high - zero_point).add_(zero_point)
    )
    return codes


def _layer(op: Conv2d | Linear, x: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(op.weight)
    rows = weight.abs().to(torch.int64).flatten(1).sum(1)
    largest = max(op.input_zero_point, 2**op.activation_bits - 1 - op.input_zero_point)
    exact = int(rows.max()) * largest < _EXACT_FLOAT32
    dtype = torch.float32 if exact else torch.float64
    centred = x.to(dtype) - op.input_zero_point
    weight = like(weight, x).to(dtype)
    if isinstance(op, Linear):
        total = functional.linear(centred, weight)
    else:
        total = functional.conv2d(
            centred,
            weight.permute(0, 3, 1, 2),
            None,
            op.stride,
            op.padding,
            op.dilation,
            op.groups,
        )
    return _epilogue(total, op.epilogue)


def _epilogue(total: torch.Tensor, epilogue: Epilogue) -> torch.Tensor:
    shape = (-1, 1, 1) if total.ndim == 4 else (-1,)
    bias = like(torch.from_numpy(epilogue.bias.astype(np.float64)), total).reshape(shape)
    multiplier = like(torch.from_numpy(np.asarray(epilogue.multiplier)), total).reshape(shape)
    accumulator = (total.double() + bias).float()
    if epilogue.logits:
        return accumulator * multiplier
    return _requantize(
        accumulator, multiplier, epilogue.zero_point, epilogue.clip_min, epilogue.clip_max
    )


_RUN: dict[type, Callable[..., Codes]] = {
    QuantizeInput: _quantize,
    Dequantize: _dequantize,
    RunIsland: _run_island,
    Conv2d: _layer,
    Linear: _layer,
    Requantize: _rescale,
    Add: _add,
    Multiply: _multiply,
    MatMul: _matmul,
    Lookup: _lookup,
    MaxPool2d: _max_pool,
    AvgPool2d: _avg_pool,
    Pad2d: _pad,
    Reshape: _reshape,
    Move: _move,
    Embedding: _embedding,
    Constant: _constant,
    Concat: _concat,
}
