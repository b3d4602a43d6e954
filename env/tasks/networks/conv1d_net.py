"""Conv1dNet: the small network of the MNIST-1D task."""

import torch
from torch import nn

_KERNEL = 3


class Conv1dNet(nn.Module):
    """Five one-dimensional convolutions and a linear layer: 0.6 million MACs at 40 places."""

    def __init__(
        self,
        channels: tuple[int, int, int, int, int] = (32, 64, 64, 96, 96),
        *,
        in_channels: int = 1,
        classes: int = 10,
    ) -> None:
        """Make the layers; the first and the third convolution halve the signal."""
        super().__init__()
        inputs = (in_channels, *channels)
        strides = (2, 1, 2, 1, 1)
        self.convs = nn.Sequential(*map(_block, inputs, channels, strides))
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of signals `[N, C, L]`."""
        logits: torch.Tensor = self.fc(self.convs(x).mean(2))
        return logits


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, _KERNEL, stride, padding=_KERNEL // 2, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
    )
