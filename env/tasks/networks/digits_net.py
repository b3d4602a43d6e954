"""DigitsNet: the small networks of the digits task."""

import torch
from torch import nn


class DigitsNet(nn.Module):
    """Four 3x3 convolutions and a linear layer: 2.7 million MACs, nearly all in convolutions.

    Without the stride and with 64 channels at the end they are 6.0 million.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (32, 64, 64, 96),
        *,
        in_channels: int = 1,
        classes: int = 10,
        stride: int = 2,
    ) -> None:
        """Make the layers; the third convolution has the stride.

        With a stride of 1 every convolution but the first can be transformed, so that bits buy time
        on CPUs with dot-product instructions too.
        """
        super().__init__()
        first, second, third, fourth = channels
        self.conv1 = _block(in_channels, first)
        self.conv2 = _block(first, second)
        self.conv3 = _block(second, third, stride)
        self.conv4 = _block(third, fourth)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(fourth, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, C, H, W]`."""
        x = self.conv4(self.conv3(self.conv2(self.conv1(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
