"""Windows: strides, dilations and paddings, as convolutions and poolings have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Where the windows of an operator lie, one number for each dimension of the image."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    """Values put above and to the left of the image."""
    after: tuple[int, ...]


def windows_of(
    node: OnnxNode, value: Value, kernel: tuple[int, ...], *, transposed: bool = False
) -> Windows:
    """Return the geometry of an operator; `auto_pad` becomes the padding that it means.

    Args:
        node: The operator.
        value: What it reads, `[N, C, ...]`.
        kernel: Sizes of its windows.
        transposed: Of a transposed convolution, whose `auto_pad` is left to the caller.

    Raises:
        TaskError: its attributes are not of so many dimensions.
    """
    axes = len(kernel)
    stride = tuple(node.get("strides", (1,) * axes))
    dilation = tuple(node.get("dilations", (1,) * axes))
    pads = tuple(node.get("pads", (0,) * 2 * axes))
    shape = node.get("kernel_shape", kernel)
    if [*map(len, (stride, dilation, pads, shape))] != [axes, axes, 2 * axes, axes]:
        raise node.refused(f"has strides, dilations or pads of other than {axes} dimensions")
    if min((*stride, *dilation, *kernel)) < 1 or min(pads) < 0 or tuple(shape) != kernel:
        raise node.refused("has a stride, a dilation, a padding or a kernel that cannot be")
    automatic = node.get("auto_pad", "NOTSET")
    if automatic == "VALID" or (transposed and automatic.startswith("SAME")):
        pads = (0,) * 2 * axes
    elif automatic.startswith("SAME"):
        sizes = [size.at(1) for size in value.sizes[2:]]
        total = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, s, d, k in zip(sizes, stride, dilation, kernel, strict=True)
        ]
        less, rest = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = (*rest, *less) if automatic == "SAME_LOWER" else (*less, *rest)
    return Windows(
        stride=stride, dilation=dilation, before=tuple(pads[:axes]), after=tuple(pads[axes:])
    )


def pad_module(before: Sequence[int], after: Sequence[int], value: float = 0.0) -> nn.Module:
    """Return what puts a constant around an image or a sequence, or cuts off where negative."""
    pairs = reversed(list(zip(before, after, strict=True)))  # PyTorch begins with the last one
    sides: Any = tuple(int(size) for pair in pairs for size in pair)
    if len(before) == 1:
        return nn.ConstantPad1d(sides, value)
    return nn.ZeroPad2d(sides) if value == 0 else nn.ConstantPad2d(sides, value)
