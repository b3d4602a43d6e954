"""Operators with weights that are multiplied: convolutions and dense layers."""

from typing import Any

import torch
from torch import nn

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.names import layer_name
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators.windows import Windows, pad_module, windows_of
from env.tasks.onnx_network.value import Value

_CONVOLUTIONS: dict[int, Any] = {3: nn.Conv1d, 4: nn.Conv2d}
_TRANSPOSED: dict[int, Any] = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d}


def conv(builder: Builder, node: OnnxNode) -> None:
    """Conv: of images and of sequences, in groups, padded unevenly or not."""
    value, weight, bias = _inputs(builder, node, _CONVOLUTIONS)
    windows = windows_of(node, value, tuple(weight.probes[0].shape[2:]))
    padding: Any = windows.before
    if windows.before != windows.after:
        value = builder.between(node, pad_module(windows.before, windows.after), value)
        padding = 0
    out, inner, *kernel = weight.probes[0].shape
    groups = int(node.get("group", 1))
    layer = _CONVOLUTIONS[value.ndim](
        inner * groups,
        out,
        tuple(kernel),
        stride=windows.stride,
        padding=padding,
        dilation=windows.dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    _give(builder, layer, weight, bias)
    builder.module(node, layer, value, layer_name(weight.origin, node.name, node.kind))


def conv_transpose(builder: Builder, node: OnnxNode) -> None:
    """ConvTranspose: what is computed beyond the wanted size is cut off."""
    value, weight, bias = _inputs(builder, node, _TRANSPOSED)
    inner, out, *kernel = weight.probes[0].shape
    windows, more = _transposed_windows(node, value, tuple(kernel))
    even = windows.before == windows.after and min(windows.before) >= 0
    groups = int(node.get("group", 1))
    layer = _TRANSPOSED[value.ndim](
        inner,
        out * groups,
        tuple(kernel),
        stride=windows.stride,
        padding=windows.before if even else 0,
        output_padding=more,
        dilation=windows.dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    _give(builder, layer, weight, bias)
    name = layer_name(weight.origin, node.name, node.kind)
    if even:
        builder.module(node, layer, value, name)
        return
    cut = pad_module([-size for size in windows.before], [-size for size in windows.after])
    builder.module(node, nn.Sequential(layer, cut), value, name)


def gemm(builder: Builder, node: OnnxNode) -> None:
    """Gemm: a dense layer where its second factor is a constant."""
    first, second = builder.value(node, 0), builder.value(node, 1)
    third = builder.value(node, 2) if node.has(2) else None
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    across = bool(node.get("transA", 0)), bool(node.get("transB", 0))
    weight = second.probes[0] if across[1] else second.probes[0].T
    outputs = weight.shape[0]
    by_output = third is None or (
        third.fixed
        and third.probes[0].shape[-1:] in ((outputs,), (1,), ())
        and third.probes[0].numel() in (1, outputs)
    )
    if not first.computed or not second.fixed or across[0] or not by_output:
        values = [first, second, *([] if third is None else [third])]
        builder.call(node, _gemm, values, alpha=alpha, beta=beta, across=across)
        return
    layer = nn.Linear(weight.shape[1], outputs, bias=third is not None, device="meta")
    plain = across[1] and alpha == 1
    layer.weight = builder.parameter(second, None if plain else alpha * weight)
    if third is not None:
        bias = beta * third.probes[0].reshape(-1).expand(outputs)
        same = beta == 1 and third.probes[0].shape == (outputs,)
        layer.bias = builder.parameter(third, None if same else bias)
    builder.module(node, layer, first, layer_name(second.origin, node.name, node.kind))


def matmul(builder: Builder, node: OnnxNode) -> None:
    """MatMul: a dense layer where its second factor is a matrix of constants."""
    first, second = builder.value(node, 0), builder.value(node, 1)
    if not first.computed and not second.computed:
        raise node.refused(
            "multiplies constants", "fold them before: onnxsim, or the exporter's optimisation"
        )
    if not second.fixed or second.ndim != 2 or first.ndim < 2:
        builder.call(node, torch.matmul, [first, second])
        return
    inner, outputs = second.probes[0].shape
    layer = nn.Linear(inner, outputs, bias=False, device="meta")
    layer.weight = builder.parameter(second, second.probes[0].T)
    builder.module(node, layer, first, layer_name(second.origin, node.name, node.kind))


def absorb(builder: Builder, node: OnnxNode, value: Value, scale: Any, shift: Any) -> bool:
    """Take `value * scale + shift` into the layer that makes the value, where that is one.

    Args:
        builder: What the network is made with.
        node: The operator that multiplies or adds; its output becomes the layer's.
        value: What it reads.
        scale: Numbers of each output of the layer, or one; None for 1.
        shift: The same, None for 0.

    Returns:
        Whether it was taken.
    """
    layer = builder.module_behind(value)
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
        return False
    outputs = layer.weight.shape[0]
    constant = scale if shift is None else shift
    # Of a convolution the channels come first, of a dense layer its outputs come last.
    channel = -1 if isinstance(layer, nn.Linear) else 1 - value.ndim
    wanted = [1] * value.ndim
    wanted[channel] = outputs
    shape = [1] * (value.ndim - constant.ndim) + list(constant.shape)
    if constant.ndim > value.ndim or shape not in (wanted, [1] * value.ndim):
        return False
    numbers = constant.reshape(-1).expand(outputs).clone()
    with torch.no_grad():
        if shift is None:
            layer.weight = nn.Parameter(
                layer.weight * numbers.reshape(-1, *[1] * (layer.weight.ndim - 1))
            )
        if layer.bias is not None:
            numbers = layer.bias * numbers if shift is None else layer.bias + numbers
        if layer.bias is not None or shift is not None:
            layer.bias = nn.Parameter(numbers)
    builder.forward_name(node, value)
    return True


def _inputs(
    builder: Builder, node: OnnxNode, kinds: dict[int, Any]
) -> tuple[Value, Value, Value | None]:
    value, weight = builder.value(node, 0), builder.value(node, 1)
    builder.fixed(node, 1)
    builder.fixed(node, 2)
    if not value.computed:
        raise node.refused("reads no value that depends on the network's input")
    if value.ndim not in kinds or weight.ndim != value.ndim:
        raise node.refused(
            f"is of {max(value.ndim - 2, 0)} dimensions, and those of 1 and 2 are taken"
        )
    return value, weight, builder.value(node, 2) if node.has(2) else None


def _give(builder: Builder, layer: nn.Module, weight: Value, bias: Value | None) -> None:
    """Give a layer the file's weights in place of its own."""
    layer.weight = builder.parameter(weight)
    if bias is not None:
        layer.bias = builder.parameter(bias)


def _transposed_windows(
    node: OnnxNode, value: Value, kernel: tuple[int, ...]
) -> tuple[Windows, list[int]]:
    """Return the geometry of a transposed convolution, and what it adds at the end."""
    windows = windows_of(node, value, kernel, transposed=True)
    more = list(node.get("output_padding", (0,) * len(kernel)))
    shape, automatic = node.get("output_shape"), node.get("auto_pad", "NOTSET")
    if shape is None and not automatic.startswith("SAME"):
        return windows, more
    sizes = [int(size) for size in value.probes[0].shape[2:]]
    geometry = zip(sizes, windows.stride, windows.dilation, kernel, more, strict=True)
    full = [(size - 1) * s + (k - 1) * d + 1 + extra for size, s, d, k, extra in geometry]
    wanted = list(shape or [size * s for size, s in zip(sizes, windows.stride, strict=True)])
    wanted = wanted[-len(kernel) :]
    total = [found - want for found, want in zip(full, wanted, strict=True)]
    less, rest = [t // 2 for t in total], [t - t // 2 for t in total]
    before, after = (less, rest) if automatic == "SAME_UPPER" else (rest, less)
    return (
        Windows(
            stride=windows.stride,
            dilation=windows.dilation,
            before=tuple(before),
            after=tuple(after),
        ),
        more,
    )


def _gemm(
    first: torch.Tensor,
    second: torch.Tensor,
    third: torch.Tensor | None = None,
    *,
    alpha: float,
    beta: float,
    across: tuple[bool, bool],
) -> torch.Tensor:
    product = (first.T if across[0] else first) @ (second.T if across[1] else second)
    return alpha * product if third is None else alpha * product + beta * third
