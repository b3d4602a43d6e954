"""Normalizations."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.names import layer_name
from env.tasks.onnx_network.node import OnnxNode

_BATCH_NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}


def batch_norm(builder: Builder, node: OnnxNode) -> None:
    """BatchNormalization with the statistics that the file keeps."""
    value = builder.value(node, 0)
    scale, _, mean, variance = (builder.fixed(node, place) for place in range(1, 5))
    if node.get("training_mode", 0) or node.get("is_test", 1) == 0:
        raise node.refused(
            "takes its statistics from the batch, as in training",
            "export the network in evaluation mode: model.eval()",
        )
    if value.ndim not in _BATCH_NORMS or node.get("spatial", 1) != 1:
        raise node.refused("is of a shape that no batch norm of PyTorch has")
    assert scale is not None
    assert mean is not None
    assert variance is not None
    norm = _BATCH_NORMS[value.ndim](len(scale), eps=node.get("epsilon", 1e-5), device="meta")
    norm.weight = builder.parameter(builder.value(node, 1))
    norm.bias = builder.parameter(builder.value(node, 2))
    norm.running_mean, norm.running_var = mean.clone(), variance.clone()
    norm.num_batches_tracked = torch.tensor(0)
    origin = builder.value(node, 1).origin
    builder.module(node, norm, value, layer_name(origin, node.name, node.kind))


def layer_norm(builder: Builder, node: OnnxNode) -> None:
    """LayerNormalization over the last dimensions."""
    value, scale = builder.value(node, 0), builder.value(node, 1)
    numbers = builder.fixed(node, 1)
    builder.fixed(node, 2)
    assert numbers is not None
    axis = int(node.get("axis", -1)) % value.ndim
    shape = [size.at(1) for size in value.sizes[axis:]]
    if list(numbers.shape) != shape:
        raise node.refused(f"has a scale {list(numbers.shape)} for values {shape}")
    norm = nn.LayerNorm(shape, eps=node.get("epsilon", 1e-5), bias=node.has(2), device="meta")
    norm.weight = builder.parameter(scale)
    if node.has(2):
        norm.bias = builder.parameter(builder.value(node, 2))
    builder.module(node, norm, value, layer_name(scale.origin, node.name, node.kind))


def instance_norm(builder: Builder, node: OnnxNode) -> None:
    """InstanceNormalization of each channel of each image."""
    values = builder.inputs(node)
    builder.call(node, _instance_norm, values, epsilon=node.get("epsilon", 1e-5))


def group_norm(builder: Builder, node: OnnxNode) -> None:
    """GroupNormalization; before opset 21 each group has one scale."""
    values = builder.inputs(node)
    builder.call(
        node,
        _group_norm,
        values,
        groups=int(node.get("num_groups", 1)),
        epsilon=node.get("epsilon", 1e-5),
    )


def local_response_norm(builder: Builder, node: OnnxNode) -> None:
    """LRN, as AlexNet has it."""
    module = nn.LocalResponseNorm(
        int(node.get("size")),
        alpha=node.get("alpha", 1e-4),
        beta=node.get("beta", 0.75),
        k=node.get("bias", 1.0),
    )
    builder.module(node, module, builder.value(node, 0))


def lp_normalization(builder: Builder, node: OnnxNode) -> None:
    """LpNormalization along one dimension."""
    builder.call(
        node,
        _lp_normalization,
        [builder.value(node, 0)],
        power=int(node.get("p", 2)),
        axis=int(node.get("axis", -1)),
    )


def _instance_norm(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, *, epsilon: float
) -> torch.Tensor:
    return functional.instance_norm(x, weight=scale, bias=shift, eps=epsilon)


def _group_norm(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, *, groups: int, epsilon: float
) -> torch.Tensor:
    channels = x.shape[1]
    scale, shift = (t.repeat_interleave(channels // len(t)) for t in (scale, shift))
    return functional.group_norm(x, groups, scale, shift, epsilon)


def _lp_normalization(x: torch.Tensor, *, power: int, axis: int) -> torch.Tensor:
    size = x.abs().sum(axis, keepdim=True) if power == 1 else x.norm(2, axis, keepdim=True)
    return x / size
