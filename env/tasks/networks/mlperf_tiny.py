"""The four networks of MLPerf Tiny, with Keras's padding: what is uneven goes to the far side.

Source: Banbury et al. 2021, "MLPerf Tiny Benchmark", section 4, and Keras models of the reference
code: ResNet-8 for CIFAR-10, DS-CNN for keywords, MobileNetV1 of a quarter's width for persons, and
an autoencoder of fully connected layers for sounds of machines.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

_KEYWORD_WIDTH = 64
_QUARTER_OF_MOBILENET = (
    *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
    *((128, 1),) * 5,
    *((256, 2), (256, 1)),
)
"""Output channels and stride of each separable convolution."""
_SOUND_WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128)


class FarPadded(nn.Conv2d):
    """A convolution with Keras's `same`: as many outputs as strides, an odd row of zeros last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return an image of `ceil(side / stride)` rows and columns."""
        pads: list[int] = []
        for axis in (1, 0):  # columns come first in PyTorch's padding
            side, kernel, stride = x.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(x, pads) if any(pads) else x)


def _convolution(
    channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    rectified: bool = True,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        FarPadded(channels, out_channels, kernel, stride, groups=groups),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU()] if rectified else []))


def _separable(channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(channels, channels, 3, stride=stride, groups=channels),
        _convolution(channels, out_channels, 1),
    )


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, out_channels, 3, stride=stride)
        self.conv2 = _convolution(out_channels, out_channels, 3, rectified=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = FarPadded(channels, out_channels, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class _MeanHead(nn.Module):
    """The mean of each channel, and a Linear."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.fc(x.mean((2, 3)))
        return made


def mlperf_resnet8(*, in_channels: int, classes: int) -> nn.Module:
    """Return the network of the image classification, for 32x32."""
    return nn.Sequential(
        _convolution(in_channels, 16, 3),
        _Residual(16, 16, 1),
        _Residual(16, 32, 2),
        _Residual(32, 64, 2),
        _MeanHead(64, classes),
    )


def mlperf_ds_cnn(*, in_channels: int, classes: int) -> nn.Module:
    """Return the network of the keyword spotting, for 49x10 features of a second."""
    width = _KEYWORD_WIDTH
    return nn.Sequential(
        _convolution(in_channels, width, (10, 4), stride=2),
        nn.Dropout(0.2),
        *(_separable(width, width, 1) for _ in range(4)),
        nn.Dropout(0.4),
        _MeanHead(width, classes),
    )


def mlperf_mobilenet(*, in_channels: int, classes: int) -> nn.Module:
    """Return the network of the visual wake words, for 96x96."""
    widths = (8, *(width for width, _ in _QUARTER_OF_MOBILENET))
    strides = (stride for _, stride in _QUARTER_OF_MOBILENET)
    return nn.Sequential(
        _convolution(in_channels, widths[0], 3, stride=2),
        *(
            _separable(*pair, stride)
            for pair, stride in zip(pairwise(widths), strides, strict=True)
        ),
        _MeanHead(widths[-1], classes),
    )


def mlperf_autoencoder(*, in_channels: int, classes: int) -> nn.Module:
    """Return the network of the anomaly detection, for vectors of 640 features.

    Args:
        in_channels: Features that it reads.
        classes: Features that it gives back, as many.
    """
    widths = (in_channels, *_SOUND_WIDTHS)
    layers = [
        layer
        for width, out in pairwise(widths)
        for layer in (nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
