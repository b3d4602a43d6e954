"""Drawn networks: small ones of four kinds, none of them a network that methods are judged on."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

Kind = Literal["plain", "conv1d", "residual", "depthwise"]
KINDS: tuple[Kind, ...] = ("plain", "conv1d", "residual", "depthwise")


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _step(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(self.first(x)))


class _Headed(nn.Module):
    """A body, the mean over places, and a linear layer."""

    def __init__(self, body: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.body(x)
        logits: torch.Tensor = self.head(features.flatten(2).mean(2))
        return logits


def draw_network(kind: Kind, channels: int, classes: int, rng: np.random.Generator) -> nn.Module:
    """Return an untrained network of 4 to 8 layers.

    Args:
        kind: What its body is made of.
        channels: Of the images, or signals for `conv1d`.
        classes: Of the task.
        rng: Decides depth and widths; the weights are torch's.
    """
    width = int(rng.choice([8, 12, 16]))
    return _BODIES[kind](channels, width, int(rng.integers(2, 5)), classes)


def _plain(channels: int, width: int, depth: int, classes: int) -> nn.Module:
    parts = [_step(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))]
    for number in range(depth):
        grown = width + 8 if number % 2 == 0 else width
        stride = 2 if number == 0 else 1
        parts.append(_step(nn.Conv2d(width, grown, 3, stride=stride, padding=1, bias=False)))
        width = grown
    return _Headed(nn.Sequential(*parts), width, classes)


def _conv1d(channels: int, width: int, depth: int, classes: int) -> nn.Module:
    parts = [_step(nn.Conv1d(channels, width, 7, padding=3, bias=False))]
    for number in range(depth - 1):
        grown = 2 * width if number == 0 else width
        parts.append(_step(nn.Conv1d(width, grown, 5, stride=2, padding=2, bias=False)))
        width = grown
    return _Headed(nn.Sequential(*parts), width, classes)


def _residual(channels: int, width: int, depth: int, classes: int) -> nn.Module:
    parts: list[nn.Module]
    parts = [_step(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))]
    parts += [_Residual(width) for _ in range(1 + depth // 3)]
    parts.append(_step(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)))
    return _Headed(nn.Sequential(*parts), 2 * width, classes)


def _depthwise(channels: int, width: int, depth: int, classes: int) -> nn.Module:
    parts = [_step(nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False))]
    for number in range(max(2, depth - 1)):
        grown = 2 * width if number == 0 else width
        parts.append(_step(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)))
        parts.append(_step(nn.Conv2d(width, grown, 1, bias=False)))
        width = grown
    return _Headed(nn.Sequential(*parts), width, classes)


def _step(convolution: nn.Conv2d | nn.Conv1d) -> nn.Sequential:
    count = convolution.out_channels
    norm = nn.BatchNorm2d(count) if isinstance(convolution, nn.Conv2d) else nn.BatchNorm1d(count)
    return nn.Sequential(convolution, norm, nn.ReLU())


_BODIES: dict[Kind, Callable[[int, int, int, int], nn.Module]] = {
    "plain": _plain,
    "conv1d": _conv1d,
    "residual": _residual,
    "depthwise": _depthwise,
}
