"""Constants, casts, and what changes nothing."""

import torch

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode


def constant(builder: Builder, node: OnnxNode) -> None:
    """Constant: a tensor, a number or several."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if (found := node.get(name)) is not None:
            builder.constant(node, found if name == "value" else torch.tensor(found))
            return
    raise node.refused("is of texts, or sparse", "networks of numbers alone are taken")


def identity(builder: Builder, node: OnnxNode) -> None:
    """Identity."""
    builder.forward_name(node, builder.value(node, 0))


def cast(builder: Builder, node: OnnxNode) -> None:
    """Cast: floats of every precision are float32, and whole numbers int64."""
    _cast(builder, node, node.get("to"))


def cast_like(builder: Builder, node: OnnxNode) -> None:
    """CastLike: to the type of another value."""
    _cast(builder, node, builder.value(node, 1).dtype)


def _cast(builder: Builder, node: OnnxNode, kind: torch.dtype) -> None:
    value = builder.value(node, 0)
    if value.dtype == kind:
        builder.forward_name(node, value)
    else:
        builder.call(node, _to, [value], kind=kind)


def _to(x: torch.Tensor, *, kind: torch.dtype) -> torch.Tensor:
    return x.to(kind)
