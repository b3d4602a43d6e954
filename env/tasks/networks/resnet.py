"""ResNets for 224x224 images: ResNet-18 of basic blocks, ResNet-50 of bottlenecks.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1; the bottleneck's
stride is on its 3x3 convolution, as torchvision has it. State-dict names are torchvision's, so its
checkpoints load. CIFAR's smaller ResNets are in `cifar_resnet`.
"""

from collections.abc import Sequence

import torch
from torch import nn

from env.tasks.networks.cifar_resnet import BasicBlock

_STEM_WIDTH = 64
_EXPANSION = 4
"""A bottleneck's outputs, in units of its inner width."""


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make the layers; a 1x1 shortcut wherever the shape changes."""
        super().__init__()
        width = outputs // _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = torch.relu(self.bn1(self.conv1(x)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(self.bn3(self.conv3(inner)) + shortcut)


class ResNet(nn.Module):
    """A 7x7 stem with a maximum pool, four stages, and a linear layer."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        *,
        in_channels: int = 3,
        classes: int = 1000,
    ) -> None:
        """Make the layers and draw their weights.

        Args:
            block: What the stages are made of.
            blocks: Blocks in each stage; every stage after the first halves the image and
                doubles the channels.
            in_channels: Channels of the images.
            classes: Number of logits.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, _STEM_WIDTH, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_WIDTH)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        widths = [
            _STEM_WIDTH * 2**stage * (_EXPANSION if block is Bottleneck else 1)
            for stage in range(len(blocks))
        ]
        inputs = [_STEM_WIDTH, *widths]
        for stage, count in enumerate(blocks):
            first = block(inputs[stage], widths[stage], 2 if stage else 1)
            rest = (block(widths[stage], widths[stage], 1) for _ in range(count - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
        self._stages = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]`; 32 divides H and W."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in range(self._stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def resnet18(*, in_channels: int = 3, classes: int = 1000) -> ResNet:
    """Return an untrained ResNet-18: 1.8 GMAC and 11.7 M parameters at 224x224."""
    return ResNet(BasicBlock, (2, 2, 2, 2), in_channels=in_channels, classes=classes)


def resnet50(*, in_channels: int = 3, classes: int = 1000) -> ResNet:
    """Return an untrained ResNet-50: 4.1 GMAC and 25.6 M parameters at 224x224."""
    return ResNet(Bottleneck, (3, 4, 6, 3), in_channels=in_channels, classes=classes)
