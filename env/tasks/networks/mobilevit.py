"""MobileViT: convolutions around attention between pixels at the same place of all patches.

Source: Mehta and Rastegari 2022, "MobileViT: Light-weight, General-purpose, and Mobile-friendly
Vision Transformer", section 3.1 and table 4 of the appendix (XXS).
"""

from functools import partial

import torch
from torch import nn

_PATCH = 2
"""Height and width of the patches."""
_EXPANSION = 2
"""Width of a bottleneck's middle, as a multiple of its input."""
_HEADS = 4

_activated = partial(nn.SiLU, inplace=False)


def _convolution(
    channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, silu: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, *([_activated()] if silu else []))


class _Bottleneck(nn.Module):
    """An inverted bottleneck, added to its input where it keeps the shape."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        middle = _EXPANSION * channels
        self.layers = nn.Sequential(
            _convolution(channels, middle, 1),
            _convolution(middle, middle, 3, stride=stride, groups=middle),
            _convolution(middle, out, 1, silu=False),
        )
        self.keeps = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layers(x)
        return x + made if self.keeps else made


class _Attention(nn.Module):
    """Attention of several heads, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups, tokens, width = x.shape
        parts = self.qkv(x).reshape(groups, tokens, 3, _HEADS, width // _HEADS)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        shares = (q @ k.transpose(-2, -1) * (width // _HEADS) ** -0.5).softmax(-1)
        made: torch.Tensor = self.proj((shares @ v).transpose(1, 2).reshape(groups, tokens, width))
        return made


class _Transformer(nn.Module):
    """Attention and an MLP, each behind a LayerNorm and added to what it read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), _activated(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        made: torch.Tensor = x + self.mlp(self.norm2(x))
        return made


class _MobileViTBlock(nn.Module):
    """Convolutions, transformers between the patches' pixels, and a fusion with the input."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            _convolution(channels, channels, 3), nn.Conv2d(channels, width, 1, bias=False)
        )
        self.between = nn.Sequential(*(_Transformer(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.back = _convolution(width, channels, 1)
        self.fusion = _convolution(2 * channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = self.local(x)
        n, width, height, columns = image.shape
        down, along = height // _PATCH, columns // _PATCH
        # A pixel's neighbours are those at the same place of the other patches.
        patches = image.reshape(n, width, down, _PATCH, along, _PATCH).permute(0, 3, 5, 2, 4, 1)
        tokens = patches.reshape(n * _PATCH * _PATCH, down * along, width)
        tokens = self.norm(self.between(tokens))
        patches = tokens.reshape(n, _PATCH, _PATCH, down, along, width).permute(0, 5, 3, 1, 4, 2)
        image = patches.reshape(n, width, height, columns)
        made: torch.Tensor = self.fusion(torch.cat([x, self.back(image)], 1))
        return made


def mobilevit_xxs(*, in_channels: int, classes: int) -> nn.Module:
    """Return MobileViT-XXS, for images whose sides are multiples of 64 (256 in the paper)."""
    return nn.Sequential(
        _convolution(in_channels, 16, 3, stride=2),
        _Bottleneck(16, 16, 1),
        _Bottleneck(16, 24, 2),
        _Bottleneck(24, 24, 1),
        _Bottleneck(24, 24, 1),
        _Bottleneck(24, 48, 2),
        _MobileViTBlock(48, 64, 2),
        _Bottleneck(48, 64, 2),
        _MobileViTBlock(64, 80, 4),
        _Bottleneck(64, 80, 2),
        _MobileViTBlock(80, 96, 3),
        _convolution(80, 320, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(320, classes),
    )
