"""ResNets for 32x32 images: depth 6 n + 2, three stages of n basic blocks.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2, with the
1x1 shortcut (option B) where the shape changes. State-dict names follow torchvision's ResNet.
"""

import torch
from torch import nn

_STAGES = 3


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make the layers; a 1x1 shortcut wherever the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


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
    ) -> None:
        """Make the layers.

        Args:
            blocks: Basic blocks in each stage.
            width: Channels of the first stage.
            in_channels: Channels of the images.
            classes: Number of logits.
            stem_stride: Stride of the first convolution; 2 leaves a quarter of the arithmetic.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width * 2**stage for stage in range(_STAGES)]
        self.layer1 = _stage(width, widths[0], blocks, stride=1)
        self.layer2 = _stage(widths[0], widths[1], blocks, stride=2)
        self.layer3 = _stage(widths[1], widths[2], blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]` of any size."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def cifar_resnet(
    depth: int,
    *,
    width: int = 16,
    in_channels: int = 3,
    classes: int = 10,
    stem_stride: int = 1,
) -> CifarResNet:
    """Return an untrained ResNet of 8, 14, 20, ... layers that have weights on the main path.

    Raises:
        ValueError: the depth is not 6 n + 2.
    """
    blocks, left = divmod(depth - 2, 2 * _STAGES)
    if left or blocks < 1:
        raise ValueError(f"expected a depth of 6 n + 2 (8, 14, 20, ...), found {depth}")
    return CifarResNet(
        blocks, width=width, in_channels=in_channels, classes=classes, stem_stride=stem_stride
    )
