"""What one node computes on floats, before anything is quantized."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch.nn import functional

from quant.capture.graph import Node
from quant.deploy_graph import Matrices
from quant.layers import LayerSpec
from quant.strides import Strides
from quant.tensors.moving import move


def as_images(x: torch.Tensor) -> torch.Tensor:
    """Return the network's input; sequences `[N, C, L]` as images of one row `[N, C, 1, L]`."""
    return x.unsqueeze(2) if x.ndim == 3 else x


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Return images `[N, C, H, W]` as `[N, H, W, C]`, and vectors as they are: a view."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def channels_first(x: torch.Tensor) -> torch.Tensor:
    """Return `[N, H, W, C]` as `[N, C, H, W]`, and vectors as they are: a view."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def moved(x: torch.Tensor, strides: Strides, shape: tuple[int, ...]) -> torch.Tensor:
    """Return an image or vector made of values of another.

    Args:
        x: `[N, C, H, W]` or `[N, F]`.
        strides: Which values, channels last.
        shape: Of the result, `(C, H, W)` or `(F,)`.
    """
    flat = channels_last(x).reshape(len(x), -1)
    if not (strides.is_whole and strides.count == flat.shape[1]):
        flat = flat.index_select(1, _places(strides, flat.device))
    if len(shape) == 1:
        return flat
    channels, height, width = shape
    return channels_first(flat.reshape(len(x), height, width, channels))


@lru_cache(maxsize=256)
def _places(strides: Strides, device: torch.device) -> torch.Tensor:
    return move(torch.from_numpy(strides.places()), device)


def layer_value(
    spec: LayerSpec, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Compute one layer: `x` float32 `[N, C, H, W]` or `[N, F]`."""
    if spec.kind == "linear":
        if x.ndim == 4:  # of tokens: one matrix product for all rows
            return channels_first(functional.linear(channels_last(x), weight, bias))
        return functional.linear(x, weight, bias)
    return functional.conv2d(x, weight, bias, spec.stride, spec.padding, spec.dilation, spec.groups)


def matrices_value(matrices: Matrices, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the products of two tensors' matrices, `[N, groups, rows, columns]`.

    Args:
        matrices: Their shapes.
        inputs: Images `[N, C, H, W]`.
    """
    left, right = (
        channels_last(x).reshape(len(x), *shape)
        for x, shape in zip(inputs, (matrices.left, matrices.right), strict=True)
    )
    return left @ (right.transpose(-2, -1) if matrices.turned else right)


def plain_value(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Compute an operator that has no parameters; its activation is left to the caller."""
    if node.kind == "add":
        return inputs[0] + inputs[1]
    if node.kind == "multiply":
        return inputs[0] * inputs[1]
    if node.kind == "concat":
        return torch.cat(inputs, dim=1 + node.axis)
    if node.matrices is not None:
        channels, height, width = node.shape
        products = matrices_value(node.matrices, inputs) * node.scale
        return channels_first(products.reshape(len(products), height, width, channels))
    if node.moved is not None:
        return moved(inputs[0], node.moved, node.shape)
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
