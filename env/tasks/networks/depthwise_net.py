"""DepthwiseNet: a small MobileNet for small images, whose layers are hurt by few bits."""

import torch
from torch import nn


class DepthwiseNet(nn.Module):
    """Depthwise and pointwise convolutions in turn, each with batch norm and ReLU6.

    Source: Howard et al. 2017, "MobileNets" (arXiv 1704.04861), section 3.1, for the blocks.
    """

    def __init__(self, *, in_channels: int = 1, classes: int = 10) -> None:
        """Make the layers; the stem and the second block halve the image."""
        super().__init__()
        parts = [_normed(in_channels, 16, kernel=3, stride=2)]
        for inputs, outputs, stride in ((16, 32, 1), (32, 64, 2), (64, 64, 1)):
            parts.append(_normed(inputs, inputs, kernel=3, stride=stride, groups=inputs))
            parts.append(_normed(inputs, outputs, kernel=1))
        self.features = nn.Sequential(*parts)
        self.head = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]`."""
        logits: torch.Tensor = self.head(self.features(x).mean((2, 3)))
        return logits


def _normed(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )
