"""Functions of one value, and softmax."""

from typing import Any

import torch
from torch import nn

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.value import Value

_SIXTH = 1 / 6
_ENDLESS = 3e38
"""Clips of more than this are none: exporters write the largest float."""


def relu(builder: Builder, node: OnnxNode) -> None:
    """Relu."""
    builder.module(node, nn.ReLU(), builder.value(node, 0))


def clip(builder: Builder, node: OnnxNode) -> None:
    """Clip, with bounds as attributes before opset 11, and as inputs since then."""
    low, high = _bound(builder, node, "min", 1), _bound(builder, node, "max", 2)
    clip_between(builder, node, builder.value(node, 0), low, high)


def clip_between(
    builder: Builder, node: OnnxNode, value: Value, low: float | None, high: float | None
) -> None:
    """Let a node's output be a value between two bounds."""
    if not value.dtype.is_floating_point or low is None or low != 0:
        if low is None and high is None:
            builder.forward_name(node, value)
        else:
            builder.call(node, torch.clamp, [value], min=low, max=high)
    elif high is None:
        builder.module(node, nn.ReLU(), value)
    else:
        builder.module(node, nn.ReLU6() if high == 6 else nn.Hardtanh(0.0, high), value)


def _bound(builder: Builder, node: OnnxNode, name: str, place: int) -> float | None:
    bound = node.get(name)
    if bound is None and (given := builder.fixed(node, place)) is not None:
        bound = given.reshape(-1)[0].item()
    return None if bound is None or abs(bound) > _ENDLESS else bound


def softmax(builder: Builder, node: OnnxNode) -> None:
    """Softmax and LogSoftmax; before opset 13 over all dimensions from one on."""
    value = builder.value(node, 0)
    axis = int(node.get("axis", -1 if node.opset >= 13 else 1)) % value.ndim
    kind = nn.Softmax if node.kind == "Softmax" else nn.LogSoftmax
    if node.opset < 13 and axis != value.ndim - 1:
        builder.call(node, _softmax_from, [value], axis=axis, logarithm=kind is nn.LogSoftmax)
    else:
        builder.module(node, kind(axis), value)


def prelu(builder: Builder, node: OnnxNode) -> None:
    """PRelu: one slope, or one of each channel."""
    value, slope = builder.value(node, 0), builder.value(node, 1)
    numbers = builder.fixed(node, 1)
    assert numbers is not None
    channel = [1] * (value.ndim - 2)
    if numbers.numel() == 1 or list(numbers.shape) in (
        [numbers.numel(), *channel],
        [1, numbers.numel(), *channel],
    ):
        module = nn.PReLU(numbers.numel(), device="meta")
        module.weight = builder.parameter(slope, numbers.reshape(-1))
        builder.module(node, module, value)
    else:
        builder.call(node, _prelu, [value, slope])


def hard_sigmoid(builder: Builder, node: OnnxNode) -> None:
    """HardSigmoid: PyTorch's has a slope of a sixth, and others are a clip."""
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    value = builder.value(node, 0)
    if abs(alpha - _SIXTH) < 1e-6 and beta == 0.5:
        builder.module(node, nn.Hardsigmoid(), value)
    else:
        builder.call(node, _hard_sigmoid, [value], alpha=alpha, beta=beta)


def selu(builder: Builder, node: OnnxNode) -> None:
    """Selu with factors of any size."""
    builder.call(
        node,
        _selu,
        [builder.value(node, 0)],
        alpha=node.get("alpha", 1.67326319217681884765625),
        gamma=node.get("gamma", 1.05070102214813232421875),
    )


def shrink(builder: Builder, node: OnnxNode) -> None:
    """Shrink: PyTorch's hard or soft one."""
    bound, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    if bias not in (0.0, bound):
        raise node.refused(f"has a bias of {bias}, and 0 and its bound ({bound}) are taken")
    module = nn.Softshrink(bound) if bias else nn.Hardshrink(bound)
    builder.module(node, module, builder.value(node, 0))


def swish(builder: Builder, node: OnnxNode) -> None:
    """Swish: x * sigmoid(alpha * x)."""
    value, alpha = builder.value(node, 0), node.get("alpha", 1.0)
    if alpha == 1:
        builder.module(node, nn.SiLU(), value)
    else:
        builder.call(node, _swish, [value], alpha=alpha)


MODULES: dict[str, Any] = {
    "Sigmoid": lambda node: nn.Sigmoid(),
    "Tanh": lambda node: nn.Tanh(),
    "HardSwish": lambda node: nn.Hardswish(),
    "Mish": lambda node: nn.Mish(),
    "Softplus": lambda node: nn.Softplus(),
    "Softsign": lambda node: nn.Softsign(),
    "LeakyRelu": lambda node: nn.LeakyReLU(node.get("alpha", 0.01)),
    "Elu": lambda node: nn.ELU(node.get("alpha", 1.0)),
    "Celu": lambda node: nn.CELU(node.get("alpha", 1.0)),
    "ThresholdedRelu": lambda node: nn.Threshold(node.get("alpha", 1.0), 0.0),
    "Gelu": lambda node: nn.GELU(node.get("approximate", "none")),
    "Dropout": lambda node: nn.Dropout(node.get("ratio", 0.5)),
}
"""For each operator that is one module of PyTorch's, what makes it."""


def module_of(builder: Builder, node: OnnxNode) -> None:
    """One of `MODULES`."""
    builder.module(node, MODULES[node.kind](node), builder.value(node, 0))


def _softmax_from(x: torch.Tensor, *, axis: int, logarithm: bool) -> torch.Tensor:
    flat = x.flatten(axis)
    made: torch.Tensor = flat.log_softmax(-1) if logarithm else flat.softmax(-1)
    return made.reshape(-1, *x.shape[1:])


def _prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, slope * x, x)


def _hard_sigmoid(x: torch.Tensor, *, alpha: float, beta: float) -> torch.Tensor:
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


def _selu(x: torch.Tensor, *, alpha: float, gamma: float) -> torch.Tensor:
    return nn.functional.elu(x, alpha) * gamma


def _swish(x: torch.Tensor, *, alpha: float) -> torch.Tensor:
    return x * torch.sigmoid(x * alpha)
