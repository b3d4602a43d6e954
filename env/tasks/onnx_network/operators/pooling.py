"""Poolings."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators.windows import pad_module, windows_of
from env.tasks.onnx_network.value import Value

_MAXIMA: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
_MEANS: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
_GLOBAL: dict[str, dict[int, Any]] = {
    "GlobalAveragePool": {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d},
    "GlobalMaxPool": {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d},
}


def max_pool(builder: Builder, node: OnnxNode) -> None:
    """MaxPool; uneven pads become a padding of the smallest numbers."""
    value, kernel = _images(builder, node)
    if len(node.outputs) > 1 and builder.read_by(node.outputs[1]):
        raise node.refused("gives the places of its maxima too, and those are not taken")
    windows = windows_of(node, value, kernel)
    padding: Any = windows.before
    if windows.before != windows.after or any(
        2 * side > size for side, size in zip(windows.before, kernel, strict=True)
    ):
        lowest = torch.finfo(torch.float32).min
        value = builder.between(node, pad_module(windows.before, windows.after, lowest), value)
        padding = 0
    module = _MAXIMA[len(kernel)](
        kernel,
        windows.stride,
        padding,
        windows.dilation,
        ceil_mode=bool(node.get("ceil_mode", 0)),
    )
    builder.module(node, module, value)


def average_pool(builder: Builder, node: OnnxNode) -> None:
    """AveragePool, with what pads it counted or not."""
    value, kernel = _images(builder, node)
    windows = windows_of(node, value, kernel)
    if max(windows.dilation) > 1:
        raise node.refused("has dilations")
    counted = bool(node.get("count_include_pad", 0))
    padded = any((*windows.before, *windows.after))
    ceil = bool(node.get("ceil_mode", 0))
    even = windows.before == windows.after and all(
        2 * side <= size for side, size in zip(windows.before, kernel, strict=True)
    )
    if even:
        module = _MEANS[len(kernel)](
            kernel,
            windows.stride,
            windows.before if padded else 0,
            ceil_mode=ceil,
            count_include_pad=counted or not padded,
        )
        builder.module(node, module, value)
        return
    if ceil:
        raise node.refused("has uneven pads and ceil_mode")
    around = pad_module(windows.before, windows.after)
    inside = [size.at(1) for size in value.sizes[2:]]
    if counted:
        value = builder.between(node, around, value)
        builder.module(node, _MEANS[len(kernel)](kernel, windows.stride), value)
        return
    value = builder.between(node, around, value)
    # Of a window the share that is no padding is the product of its rows' and its columns'.
    share = torch.ones(())
    for axis, (size, side) in enumerate(zip(inside, kernel, strict=True)):
        row = functional.pad(torch.ones(1, 1, size), (windows.before[axis], windows.after[axis]))
        part = functional.avg_pool1d(row, side, windows.stride[axis])[0, 0]
        share = share.unsqueeze(-1) * part
    wide = Value(reference="", probes=(share,) * 3, computed=False)
    builder.call(node, _mean_of_inside, [value, wide], kernel=kernel, stride=windows.stride)


def global_pool(builder: Builder, node: OnnxNode) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    value = builder.value(node, 0)
    kinds = _GLOBAL[node.kind]
    if value.ndim - 2 not in kinds:
        raise node.refused(f"is of {max(value.ndim - 2, 0)} dimensions")
    builder.module(node, kinds[value.ndim - 2](1), value)


def _images(builder: Builder, node: OnnxNode) -> tuple[Value, tuple[int, ...]]:
    value, kernel = builder.value(node, 0), tuple(node.get("kernel_shape", ()))
    if len(kernel) not in _MAXIMA or value.ndim != len(kernel) + 2:
        raise node.refused(f"is of {len(kernel)} dimensions, and those of 1 and 2 are taken")
    if not value.computed:
        raise node.refused("reads no value that depends on the network's input")
    return value, kernel


def _mean_of_inside(
    x: torch.Tensor, share: torch.Tensor, *, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    """Return means of what is no padding; `share` of each window is that."""
    pool = functional.avg_pool1d if len(kernel) == 1 else functional.avg_pool2d
    return pool(x, kernel, stride) / share
