"""What one node computes on floats, before anything is quantized."""

import torch
from torch.nn import functional

from quant.capture.graph import Node
from quant.layers import LayerSpec


def as_images(x: torch.Tensor) -> torch.Tensor:
    """Return the network's input; sequences `[N, C, L]` as images of one row `[N, C, 1, L]`."""
    return x.unsqueeze(2) if x.ndim == 3 else x


def layer_value(
    spec: LayerSpec, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Compute one layer: `x` float32 `[N, C, H, W]` or `[N, F]`."""
    if spec.kind == "linear":
        return functional.linear(x, weight, bias)
    return functional.conv2d(x, weight, bias, spec.stride, spec.padding, spec.dilation, spec.groups)


def plain_value(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Compute an operator that has no parameters; its activation is left to the caller."""
    if node.kind == "add":
        return inputs[0] + inputs[1]
    if node.kind == "multiply":
        return inputs[0] * inputs[1]
    if node.kind == "concat":
        return torch.cat(inputs, dim=1)
    if node.kind == "flatten":
        return inputs[0].flatten(1)
    if node.kind in ("clip", "output"):
        return inputs[0]
    if node.padding is not None:
        (above, left), (below, right) = node.padding.before, node.padding.after
        return functional.pad(inputs[0], (left, right, above, below))
    assert node.window is not None
    kernel, stride, padding = node.window.kernel, node.window.stride, node.window.padding
    if node.kind == "max_pool":
        return functional.max_pool2d(inputs[0], kernel, stride, padding)
    return functional.avg_pool2d(inputs[0], kernel, stride, padding)
