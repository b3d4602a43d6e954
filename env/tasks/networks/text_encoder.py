"""A small BERT: numbers of tokens looked up, attention between all of them, no mask.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3, and
Turc et al. 2019, "Well-Read Students Learn Better", table 1, for the width and depth (BERT-Mini is
256 wide, BERT-Tiny 128).
"""

import torch
from torch import nn
from torch.nn import functional

_HIDDEN = 4


class _Layer(nn.Module):
    """Attention and an MLP, each added to what it read, with a LayerNorm behind."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, _HIDDEN * width), nn.Linear(_HIDDEN * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self._heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, width = x.shape
        parts = (
            part.reshape(n, tokens, self._heads, -1).transpose(1, 2)
            for part in (self.query(x), self.key(x), self.value(x))
        )
        mixed = functional.scaled_dot_product_attention(*parts)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).reshape(n, tokens, width)))
        made: torch.Tensor = self.norm2(x + self.fc2(functional.gelu(self.fc1(x))))
        return made


class TextEncoder(nn.Module):
    """Classes of texts of one length; padding, if any, is a token like others."""

    def __init__(
        self,
        *,
        in_channels: int,
        classes: int,
        vocabulary: int = 1024,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        """Make the layers.

        Args:
            in_channels: Tokens of a text.
            classes: Number of logits.
            vocabulary: Tokens that are known.
            width: Of what stands for a token.
            depth: Layers.
            heads: Of each attention.
        """
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.zeros(1, in_channels, width))
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(*(_Layer(width, heads) for _ in range(depth)))
        self.pooler, self.head = nn.Linear(width, width), nn.Linear(width, classes)
        for values in (self.places, self.tokens.weight):
            nn.init.trunc_normal_(values, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]` of numbers of tokens `[N, T]`, whole floats or integers."""
        tokens = self.layers(self.norm(self.tokens(x.long()) + self.places))
        logits: torch.Tensor = self.head(torch.tanh(self.pooler(tokens[:, 0])))
        return logits
