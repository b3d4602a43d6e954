"""ResNets for 32x32 images: depth 6 n + 2, three stages of n basic blocks.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", sections 3.3 and 4.2. Where
the shape changes, the shortcut is a 1x1 convolution (option B), or every second pixel with channels
of zeros around it (option A), as in most published weights for CIFAR. State-dict names follow
torchvision's ResNet.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

_STAGES = 3
Shortcut = Literal["convolution", "zeros"]
"""What a shortcut is where the shape changes: options B and A."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, shortcut: Shortcut = "convolution"
    ) -> None:
        """Make the layers; `shortcut` is what stands wherever the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride == 1 and inputs == outputs:
            return
        if shortcut == "zeros":
            self.downsample = ZeroChannels(outputs - inputs, stride)
        else:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


class ZeroChannels(nn.Module):
    """A shortcut without weights: every `stride`-th pixel, between channels of zeros."""

    def __init__(self, added: int, stride: int) -> None:
        """Add `added` channels, half of them in front."""
        super().__init__()
        self._added, self._stride = added, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, C + added, H / stride, W / stride]`."""
        before = self._added // 2
        picked = x[:, :, :: self._stride, :: self._stride]
        return functional.pad(picked, (0, 0, 0, 0, before, self._added - before))


class CifarResNet(nn.Module):
    """A stem, three stages that halve the image and double the channels, and a linear layer."""

    def __init__(
        self,
        blocks: int,
        *,
        width: int = 16,
        in_channels: int = 3,
        classes: int = 10,
        stem_stride: int = 1,
        shortcut: Shortcut = "convolution",
    ) -> None:
        """Make the layers.

        Args:
            blocks: Basic blocks in each stage.
            width: Channels of the first stage.
            in_channels: Channels of the images.
            classes: Number of logits.
            stem_stride: Stride of the first convolution; 2 leaves a quarter of the arithmetic.
            shortcut: What stands where the shape changes.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width * 2**stage for stage in range(_STAGES)]
        self.layer1 = _stage(width, widths[0], blocks, 1, shortcut)
        self.layer2 = _stage(widths[0], widths[1], blocks, 2, shortcut)
        self.layer3 = _stage(widths[1], widths[2], blocks, 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]` of any size."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def _stage(
    inputs: int, outputs: int, blocks: int, stride: int, shortcut: Shortcut
) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def cifar_resnet(
    depth: int,
    *,
    width: int = 16,
    in_channels: int = 3,
    classes: int = 10,
    stem_stride: int = 1,
    shortcut: Shortcut = "convolution",
) -> CifarResNet:
    """Return an untrained ResNet of 8, 14, 20, ... layers that have weights on the main path.

    Raises:
        ValueError: the depth is not 6 n + 2.
    """
    blocks, left = divmod(depth - 2, 2 * _STAGES)
    if left or blocks < 1:
        raise ValueError(f"expected a depth of 6 n + 2 (8, 14, 20, ...), found {depth}")
    return CifarResNet(
        blocks,
        width=width,
        in_channels=in_channels,
        classes=classes,
        stem_stride=stem_stride,
        shortcut=shortcut,
    )


def shortcut_of(names: Iterable[str]) -> Shortcut:
    """Return what the shortcuts were when weights of these names were saved."""
    weighted = any("downsample" in name or "shortcut" in name for name in names)
    return "convolution" if weighted else "zeros"
