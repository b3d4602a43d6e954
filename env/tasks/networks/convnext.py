"""ConvNeXt-atto: depthwise 7x7 convolutions, and an MLP of each pixel behind a LayerNorm.

Source: Liu et al. 2022, "A ConvNet for the 2020s", section 2.6 and figure 4, in the size that timm
calls `convnext_atto` (Woo et al. 2023, "ConvNeXt V2", table 12). State-dict names and shapes are
those of timm's file, whose MLPs are 1x1 convolutions.
"""

import torch
from torch import nn
from torch.nn import functional

_EPSILON = 1e-6
_DEPTHS, _WIDTHS = (2, 2, 6, 2), (40, 80, 160, 320)
_FIRST_SCALE = 1e-6
"""What each block's scales of channels begin at."""


class LayerNorm2d(nn.LayerNorm):
    """A LayerNorm of the channels of each pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images `[N, C, H, W]`."""
        made = functional.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return made.permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Two 1x1 convolutions, a GELU between them."""

    def __init__(self, width: int) -> None:
        """Make both."""
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of images."""
        made: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return made


class Block(nn.Module):
    """A depthwise convolution and an MLP, scaled by channels and added to what was read."""

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm, self.mlp = LayerNorm2d(width, eps=_EPSILON), Mlp(width)
        self.gamma = nn.Parameter(torch.full((width,), _FIRST_SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of images."""
        made: torch.Tensor = self.mlp(self.norm(self.conv_dw(x)))
        return x + made * self.gamma.reshape(1, -1, 1, 1)


class Stage(nn.Module):
    """Blocks of one width, behind what halves the image."""

    def __init__(self, inputs: int, width: int, depth: int) -> None:
        """Make the blocks; nothing is halved where the width stays."""
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if inputs != width:
            halve = nn.Conv2d(inputs, width, 2, 2)
            self.downsample = nn.Sequential(LayerNorm2d(inputs, eps=_EPSILON), halve)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of images."""
        made: torch.Tensor = self.blocks(self.downsample(x))
        return made


class Head(nn.Module):
    """The mean of all pixels, a LayerNorm and a Linear layer."""

    def __init__(self, width: int, classes: int) -> None:
        """Make the layers."""
        super().__init__()
        self.norm, self.fc = LayerNorm2d(width, eps=_EPSILON), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]`."""
        logits: torch.Tensor = self.fc(self.norm(x.mean((2, 3), keepdim=True)).flatten(1))
        return logits


class ConvNeXtAtto(nn.Module):
    """Four stages of ConvNeXt; takes images whose sides 32 divides."""

    def __init__(self, *, in_channels: int = 3, classes: int = 1000) -> None:
        """Make the layers."""
        super().__init__()
        first = nn.Conv2d(in_channels, _WIDTHS[0], 4, 4)
        self.stem = nn.Sequential(first, LayerNorm2d(_WIDTHS[0], eps=_EPSILON))
        inputs = (_WIDTHS[0], *_WIDTHS)
        self.stages = nn.Sequential(
            *(Stage(*sizes) for sizes in zip(inputs, _WIDTHS, _DEPTHS, strict=False))
        )
        self.head = Head(_WIDTHS[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, in_channels, H, W]`."""
        logits: torch.Tensor = self.head(self.stages(self.stem(x)))
        return logits
