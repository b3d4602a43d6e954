"""MobileNetV2: inverted residuals of 1x1, depthwise 3x3 and 1x1 convolutions.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
State-dict names are torchvision's, so its checkpoints load.
"""

import torch
from torch import nn

_STEM_WIDTH = 32
_HEAD_WIDTH = 1280
_DROPOUT = 0.2
"""Share of the features left out before the classifier, in training only, as in torchvision."""

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, outputs, blocks, stride of the first block) of each stage, table 2 of the paper."""


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        """Make the layers; no expanding convolution where the expansion is 1."""
        super().__init__()
        width = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_norm_relu6(inputs, width, 1))
        layers.append(_conv_norm_relu6(width, width, 3, stride=stride, groups=width))
        layers += [nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self._shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        inner: torch.Tensor = self.conv(x)
        return x + inner if self._shortcut else inner


class MobileNetV2(nn.Module):
    """A stem, seven stages of inverted residuals, a wide 1x1 convolution, and a linear layer."""

    def __init__(self, *, in_channels: int = 3, classes: int = 1000) -> None:
        """Make the layers and draw their weights.

        Args:
            in_channels: Channels of the images.
            classes: Number of logits.
        """
        super().__init__()
        layers: list[nn.Module] = [_conv_norm_relu6(in_channels, _STEM_WIDTH, 3, stride=2)]
        inputs = _STEM_WIDTH
        for expansion, outputs, blocks, stride in _STAGES:
            for block in range(blocks):
                step = 1 if block else stride
                layers.append(InvertedResidual(inputs, outputs, step, expansion))
                inputs = outputs
        layers.append(_conv_norm_relu6(inputs, _HEAD_WIDTH, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(_HEAD_WIDTH, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]`; 32 divides H and W."""
        pooled = torch.flatten(self.avgpool(self.features(x)), 1)
        logits: torch.Tensor = self.classifier(pooled)
        return logits


def _conv_norm_relu6(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def mobilenet_v2(*, in_channels: int = 3, classes: int = 1000) -> MobileNetV2:
    """Return an untrained MobileNetV2: 0.3 GMAC and 3.5 M parameters at 224x224."""
    return MobileNetV2(in_channels=in_channels, classes=classes)
