"""Networks of four kinds, with data that they can learn a little of: a GRU and a TCN that spot
words, and transformers of images and of texts."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Split = dict[str, tuple[np.ndarray, np.ndarray]]


class Gru(nn.Module):
    """Frames of 6 features, halved by a convolution; the last state decides."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv1d(6, 8, 3, stride=2, padding=1), nn.BatchNorm1d(8), nn.ReLU()
        )
        self.network, self.head = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 3]` of `[N, 6, L]`."""
        _, state = self.network(self.front(x).transpose(1, 2))
        logits: torch.Tensor = self.head(state[-1])
        return logits


class Tcn(nn.Module):
    """Convolutions that see the past alone, ever further apart, with a shortcut around each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(6, 8, 1)
        self.blocks = nn.ModuleList(nn.Conv1d(8, 8, 3, dilation=d) for d in (1, 2, 4))
        self.norms = nn.ModuleList(nn.BatchNorm1d(8) for _ in self.blocks)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 3]` of `[N, 6, L]`."""
        x = torch.relu(self.stem(x))
        for block, norm, dilation in zip(self.blocks, self.norms, (1, 2, 4), strict=True):
            x = torch.relu(x + norm(block(functional.pad(x, (2 * dilation, 0)))))
        logits: torch.Tensor = self.head(x.mean(2))
        return logits


class Vit(nn.Module):
    """Patches of 4 pixels, a class token, a position for each, and PyTorch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))
        self.places = nn.Parameter(torch.randn(1, 10, 8) * 0.02)
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 3]` of `[N, 1, 12, 12]`."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.first.expand(x.shape[0], -1, -1), x), 1) + self.places
        logits: torch.Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return logits


class Text(nn.Module):
    """Numbers of tokens, their places, and one attention of two heads, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(40, 8), nn.Embedding(12, 8)
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 3]` of numbers of tokens `[N, 12]`."""
        t = self.tokens(x.long()) + self.places(torch.arange(12))
        q, k, v = (
            part(t).reshape(x.shape[0], 12, 2, 4).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mixed = (q @ k.transpose(-2, -1) / 2).softmax(-1) @ v
        t = self.norm(t + mixed.transpose(1, 2).reshape(x.shape[0], 12, 8))
        logits: torch.Tensor = self.head(t.mean(1))
        return logits


def sequences() -> Split:
    """Return frames of which a third is loud."""
    return _split(np.random.default_rng(0).normal(0, 0.3, (360, 6, 24)))


def images() -> Split:
    """Return images of which a third is bright."""
    return _split(np.random.default_rng(0).normal(0, 0.3, (360, 1, 12, 12)))


def texts() -> Split:
    """Return texts in which a third of the tokens is frequent, as int64."""
    rng = np.random.default_rng(0)
    labels = np.arange(360) % 3
    tokens = rng.integers(0, 40, (360, 12))
    often = rng.random(tokens.shape) < 0.6
    tokens = np.where(often, labels[:, None] * 13 + rng.integers(0, 13, tokens.shape), tokens)
    return {"train": (tokens[:300], labels[:300]), "test": (tokens[300:], labels[300:])}


def _split(values: Any) -> Split:
    labels, third = np.arange(len(values)) % 3, values.shape[-1] // 3
    for value, label in zip(values, labels, strict=True):
        value[..., label * third : (label + 1) * third] += 1.0
    values = values.astype(np.float32)
    return {"train": (values[:300], labels[:300]), "test": (values[300:], labels[300:])}
