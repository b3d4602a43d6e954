"""Networks that `tools.integer_share` shows beside the catalogue's: nobody trains them here.

MobileNetV3-small and ShuffleNetV2 as they were published, a small U-Net, and a detector with a head
for two scales, as YOLO's are.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn
from torch.nn import functional

_SMALL_V3 = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    *((5, 240, 40, True, nn.Hardswish, 1),) * 2,
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    *((5, 576, 96, True, nn.Hardswish, 1),) * 2,
)
"""Kernel, channels inside and out, whether channels are weighed, activation, stride."""
_SHUFFLED = ((116, 4), (232, 8), (464, 4))
"""Channels and blocks of each stage."""


def _convolution(
    channels: int,
    out_channels: int,
    kernel: int = 1,
    activation: Callable[[], nn.Module] | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    padding = kernel // 2
    layers = [
        nn.Conv2d(channels, out_channels, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation()]))


class _Weighed(nn.Module):
    """Squeeze and excitation: a factor for each channel, of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(8, (channels // 4 + 4) // 8 * 8)
        self.fc1, self.fc2 = nn.Conv2d(channels, few, 1), nn.Conv2d(few, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factors = self.fc2(functional.relu(self.fc1(functional.adaptive_avg_pool2d(x, 1))))
        return x * functional.hardsigmoid(factors)


class _Inverted(nn.Module):
    def __init__(
        self,
        channels: int,
        inside: int,
        out: int,
        kernel: int,
        activation: Callable[[], nn.Module],
        *,
        weighed: bool,
        stride: int,
    ) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *([_convolution(channels, inside, 1, activation)] if inside != channels else []),
            _convolution(inside, inside, kernel, activation, stride=stride, groups=inside),
            *([_Weighed(inside)] if weighed else []),
            _convolution(inside, out),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.block(x)
        return x + made if self.adds else made


def mobilenet_v3_small(*, in_channels: int, classes: int) -> nn.Module:
    """Return MobileNetV3-small.

    Source: Howard et al. 2019, "Searching for MobileNetV3", table 2.
    """
    layers: list[nn.Module] = [_convolution(in_channels, 16, 3, nn.Hardswish, stride=2)]
    channels = 16
    for kernel, inside, out, weighed, activation, stride in _SMALL_V3:
        layers.append(
            _Inverted(channels, inside, out, kernel, activation, weighed=weighed, stride=stride)
        )
        channels = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish()]
    return nn.Sequential(
        *layers, _convolution(channels, 576, 1, nn.Hardswish), *head, nn.Linear(1024, classes)
    )


class _Shuffled(nn.Module):
    """Half of the channels pass; then the halves' channels take turns."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        half, read = out // 2, channels if stride == 2 else channels // 2
        self.short = (
            nn.Sequential(
                _convolution(read, read, 3, stride=2, groups=read),
                _convolution(read, half, 1, nn.ReLU),
            )
            if stride == 2
            else None
        )
        self.long = nn.Sequential(
            _convolution(read, half, 1, nn.ReLU),
            _convolution(half, half, 3, stride=stride, groups=half),
            _convolution(half, half, 1, nn.ReLU),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.short is None:
            first, second = x.chunk(2, 1)
            both = torch.cat([first, self.long(second)], 1)
        else:
            both = torch.cat([self.short(x), self.long(x)], 1)
        n, c, h, w = both.shape
        return both.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shuffle_net_v2(*, in_channels: int, classes: int) -> nn.Module:
    """Return ShuffleNetV2 of the full width.

    Source: Ma et al. 2018, "ShuffleNet V2", table 5.
    """
    layers: list[nn.Module] = [_convolution(in_channels, 24, 3, nn.ReLU, stride=2)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 24
    for out, blocks in _SHUFFLED:
        for block in range(blocks):
            layers.append(_Shuffled(channels, out, 1 if block else 2))
            channels = out
    layers += [_convolution(channels, 1024, 1, nn.ReLU), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1024, classes))


class UNet(nn.Module):
    """Three halvings and back, what was before each joined to what comes after."""

    def __init__(self, *, in_channels: int, classes: int, width: int = 16) -> None:
        """Make the layers; `classes` are those of each pixel."""
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        before = [in_channels, *widths]
        self.down = nn.ModuleList(_twice(a, b) for a, b in zip(before, widths, strict=False))
        self.up = nn.ModuleList(_twice(3 * a, a) for a in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, classes, H, W]`."""
        kept = []
        for number, block in enumerate(self.down):
            x = block(x if number == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for block, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), beside], 1))
        made: torch.Tensor = self.head(x)
        return made


def _twice(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(channels, out, 3, nn.ReLU), _convolution(out, out, 3, nn.ReLU)
    )


class Detector(nn.Module):
    """Boxes and classes at two scales, the coarse one's features joined to the fine one's."""

    def __init__(self, *, in_channels: int, classes: int, width: int = 16) -> None:
        """Make the layers; each place of each scale has four sides, a score and `classes`."""
        super().__init__()
        conv = partial(_convolution, kernel=3, activation=nn.SiLU)
        self.fine = nn.Sequential(
            conv(in_channels, width, stride=2),
            conv(width, 2 * width, stride=2),
            conv(2 * width, 4 * width, stride=2),
        )
        self.coarse = nn.Sequential(
            conv(4 * width, 8 * width, stride=2), conv(8 * width, 8 * width)
        )
        self.turned = _convolution(8 * width, 4 * width, 1, nn.SiLU)
        self.joined = conv(8 * width, 4 * width)
        self.heads = nn.ModuleList(
            nn.Conv2d(channels, 5 + classes, 1) for channels in (4 * width, 8 * width)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `[N, 5 + classes, H / 8, W / 8]`, and of half the side."""
        fine = self.fine(x)
        coarse = self.coarse(fine)
        back = functional.interpolate(self.turned(coarse), scale_factor=2.0)
        fine = self.joined(torch.cat([back, fine], 1))
        return self.heads[0](fine), self.heads[1](coarse)


SHOWN: Mapping[str, Callable[..., nn.Module]] = {
    "mobilenetv3-small": mobilenet_v3_small,
    "shufflenetv2": shuffle_net_v2,
    "u-net": UNet,
    "detector": Detector,
}
