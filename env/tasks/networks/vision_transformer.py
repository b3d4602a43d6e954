"""Vision transformers: patches of an image as tokens, attention between all of them.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", table 1 and section 3.1; Touvron
et al. 2021, "Training data-efficient image transformers", table 1, for the width of the tiny one.
State-dict names and shapes are those of the files that timm and DeiT's authors publish
(`vit_tiny_patch16_224`, `deit_tiny_patch16_224`). The one for small images has fixed positions and
the mean of all tokens instead of a class token, as Beyer et al. 2022, "Better plain ViT baselines".
"""

import math

import torch
from torch import nn
from torch.nn import functional

_EPSILON = 1e-6
_HIDDEN = 4
"""Width of the middle of each MLP, as a multiple of the tokens'."""


class Attention(nn.Module):
    """Attention of several heads between the tokens of an image."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the matrix of queries, keys and values in one, and that of the output."""
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self._heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens `[N, T, width]` of tokens `[N, T, width]`."""
        n, tokens, width = x.shape
        parts = self.qkv(x).reshape(n, tokens, 3, self._heads, width // self._heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        made: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return made


class Mlp(nn.Module):
    """Two Linear layers of each token, a GELU between them."""

    def __init__(self, width: int) -> None:
        """Make both layers."""
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, _HIDDEN * width), nn.Linear(_HIDDEN * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of tokens."""
        made: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return made


class Block(nn.Module):
    """Attention and an MLP, each behind a LayerNorm and added to what it read."""

    def __init__(self, width: int, heads: int) -> None:
        """Make both halves."""
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=_EPSILON), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=_EPSILON), Mlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens of tokens."""
        x = x + self.attn(self.norm1(x))
        made: torch.Tensor = x + self.mlp(self.norm2(x))
        return made


class PatchEmbedding(nn.Module):
    """A convolution whose windows lie side by side: each makes one token."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        """Make the convolution."""
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch, patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return an image of tokens, `[N, width, H / patch, W / patch]`."""
        made: torch.Tensor = self.proj(x)
        return made


class VisionTransformer(nn.Module):
    """A transformer with a class token and learned positions, for images of one size."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1000,
        side: int = 224,
        patch: int = 16,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
    ) -> None:
        """Make the layers; the defaults are those of ViT-Ti and DeiT-Ti."""
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (side // patch) ** 2 + 1, width))
        self.patch_embed = PatchEmbedding(in_channels, width, patch)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.head = nn.Linear(width, classes)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        _initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, in_channels, side, side]`."""
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        first = self.cls_token.expand(x.shape[0], -1, -1)
        tokens = torch.cat([first, tokens], 1) + self.pos_embed
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits


class SmallVisionTransformer(nn.Module):
    """A transformer for small images of any size that the patches divide."""

    def __init__(
        self,
        *,
        in_channels: int,
        classes: int,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        """Make the layers."""
        super().__init__()
        self.patch_embed = PatchEmbedding(in_channels, width, patch)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.head = nn.Linear(width, classes)
        _initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of images `[N, in_channels, H, W]`."""
        image = self.patch_embed(x)
        _, width, rows, columns = image.shape
        tokens = image.flatten(2).transpose(1, 2) + _positions(rows, columns, width)
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


def _positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """Return sines and cosines of each place's row and column, `[1, rows * columns, width]`."""
    quarter = width // 4
    frequencies = torch.exp(torch.arange(quarter) * (-math.log(10_000.0) / max(quarter - 1, 1)))
    down = torch.arange(rows)[:, None, None] * frequencies
    along = torch.arange(columns)[None, :, None] * frequencies
    waves = [wave.expand(rows, columns, quarter) for one in (down, along) for wave in _waves(one)]
    return torch.cat(waves, 2).reshape(1, rows * columns, width)


def _waves(angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return angles.sin(), angles.cos()


def _initialise(network: nn.Module) -> None:
    """Draw matrices as timm does: normal, of deviation 0.02, and zeros for what is added."""
    for part in network.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)
