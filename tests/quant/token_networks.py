"""Networks of tokens as users write them: transformers of every make, mixers, ConvNeXt, gates."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as f

IMAGE = (3, 32, 32)
WIDTH = 32


class _Attention(nn.Module):
    """Attention of timm's make: three matrices in one, heads by reshaping."""

    def __init__(self, heads: int, *, by_hand: bool) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.heads, self.by_hand = heads, by_hand

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        parts = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        if self.by_hand:
            q = q * (c // self.heads) ** -0.5
            y = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        else:
            y = f.scaled_dot_product_attention(q, k, v)
        made: torch.Tensor = self.proj(y.transpose(1, 2).reshape(n, t, c))
        return made


class _Block(nn.Module):
    def __init__(self, *, by_hand: bool) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH), _Attention(4, by_hand=by_hand)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        made: torch.Tensor = x + self.mlp(self.norm2(x))
        return made


class Patches(nn.Module):
    """A convolution that makes tokens of an image, a body, and a head."""

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.patch, self.head = nn.Conv2d(3, WIDTH, 8, 8), nn.Linear(WIDTH, classes)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, 16, WIDTH]`."""
        made: torch.Tensor = self.patch(x).flatten(2).transpose(1, 2)
        return made


class TinyViT(Patches):
    """A class token, learned positions, blocks, and the class token's logits."""

    def __init__(self, *, by_hand: bool = False) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, 17, WIDTH))
        self.blocks = nn.Sequential(_Block(by_hand=by_hand), _Block(by_hand=by_hand))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), self.tokens(x)], 1) + self.places
        made: torch.Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return made


class MultiheadNet(Patches):
    """PyTorch's own attention; the batch first or second; all tokens' mean."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.att = nn.MultiheadAttention(WIDTH, 4, batch_first=batch_first)
        self.batch_first = batch_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.tokens(x) if self.batch_first else self.tokens(x).transpose(0, 1)
        t = t + self.att(t, t, t, need_weights=False)[0]
        made: torch.Tensor = self.head(t.mean(1 if self.batch_first else 0))
        return made


class EncoderNet(Patches):
    """PyTorch's own layer of a transformer, the batch second."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, activation="gelu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.layer(self.tokens(x).transpose(0, 1)).mean(0))
        return made


class MixerNet(Patches):
    """Linear layers over tokens and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.across = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16))
        self.along = nn.Sequential(nn.Linear(WIDTH, 48), nn.ReLU(), nn.Linear(48, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.tokens(x)
        t = t + self.across(self.norm(t).transpose(1, 2)).transpose(1, 2)
        t = t + self.along(self.norm(t))
        made: torch.Tensor = self.head(t.mean(1))
        return made


class ConvNeXtNet(nn.Module):
    """ConvNeXt's block: channels last between two convolutions, a scale of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.wide = nn.Conv2d(16, 16, 7, padding=3, groups=16)
        self.norm0, self.norm = nn.LayerNorm(16), nn.LayerNorm(16)
        self.fc1, self.fc2 = nn.Linear(16, 64), nn.Linear(64, 16)
        self.scale = nn.Parameter(torch.rand(16) + 0.5)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm0(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.norm(self.wide(x).permute(0, 2, 3, 1))
        x = x + (self.fc2(f.gelu(self.fc1(y))) * self.scale).permute(0, 3, 1, 2)
        made: torch.Tensor = self.head(x.mean((2, 3)))
        return made


class GateNet(Patches):
    """A gate of two halves of one Linear's output, and a flatten of all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.out = nn.Linear(WIDTH, 48), nn.Linear(24, WIDTH)
        self.head = nn.Linear(16 * WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.tokens(x)
        a, b = self.both(t).chunk(2, -1)
        made: torch.Tensor = self.head((t + self.out(f.silu(a) * b)).flatten(1))
        return made


class SlicedNet(Patches):
    """Moves of every kind: slices, a last token, tokens back into an image, a flip."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.conv = nn.Linear(WIDTH, WIDTH), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.back = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.mix(self.tokens(x)).relu()
        image = self.conv(t.transpose(1, 2).reshape(x.shape[0], WIDTH, 4, 4)).flip(2)
        t = torch.cat([t[:, ::2], image.flatten(2).mT[:, 4:]], 1)
        pairs = t[:, :20].reshape(x.shape[0], 10, 2 * WIDTH)
        made: torch.Tensor = self.head(self.back(pairs)[:, -1] + t[:, -2])
        return made


class WindowsNet(Patches):
    """Attention within windows, which multiply the batch, as Swin's do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(WIDTH), _Attention(4, by_hand=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.patch(x).permute(0, 2, 3, 1)  # [N, 4, 4, C]
        n, c = x.shape[0], WIDTH
        windows = self.norm(t).view(n, 2, 2, 2, 2, c).transpose(2, 3).reshape(n * 4, 4, c)
        mixed = self.attn(windows).view(n, 2, 2, 2, 2, c).transpose(2, 3).reshape(n, 4, 4, c)
        made: torch.Tensor = self.head((t + mixed).mean((1, 2)))
        return made


class TextLike(nn.Module):
    """A sequence of vectors, `[N, T, F]`, that a Linear reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(12, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.out(torch.relu(self.into(x)))
        return made


TOKEN_NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], tuple[str, ...]]] = {
    "vit": (
        TinyViT,
        (
            "patch",
            *(
                f"blocks.{block}.{layer}"
                for block in (0, 1)
                for layer in ("attn.qkv", "attn.proj", "mlp.0", "mlp.2")
            ),
            "head",
        ),
        ("layer_norm",) * 5 + ("softmax",) * 2,
    ),
    "vit by hand": (
        lambda: TinyViT(by_hand=True),
        (
            "patch",
            *(
                f"blocks.{block}.{layer}"
                for block in (0, 1)
                for layer in ("attn.qkv", "attn.proj", "mlp.0", "mlp.2")
            ),
            "head",
        ),
        ("layer_norm",) * 5 + ("softmax",) * 2,
    ),
    "multihead": (
        lambda: MultiheadNet(batch_first=True),
        ("patch", "att.in_proj", "att.out_proj", "head"),
        ("softmax",),
    ),
    "multihead, batch second": (
        lambda: MultiheadNet(batch_first=False),
        ("patch", "att.in_proj", "att.out_proj", "head"),
        ("softmax",),
    ),
    "encoder": (
        EncoderNet,
        (
            *("patch", "layer.self_attn.in_proj", "layer.self_attn.out_proj"),
            *("layer.linear1", "layer.linear2", "head"),
        ),
        ("layer_norm", "layer_norm", "softmax"),
    ),
    "mixer": (
        MixerNet,
        ("patch", "across.0", "across.2", "along.0", "along.2", "head"),
        ("layer_norm", "layer_norm"),
    ),
    "convnext": (
        ConvNeXtNet,
        ("stem", "wide", "fc1", "fc2", "head"),
        ("layer_norm", "layer_norm"),
    ),
    "gate": (GateNet, ("patch", "both", "out", "head"), ()),
    "sliced": (SlicedNet, ("patch", "mix", "conv", "back", "head"), ()),
    "windows": (
        WindowsNet,
        ("patch", "attn.qkv", "attn.proj", "head"),
        ("layer_norm", "softmax"),
    ),
}
"""What makes each network, its layers, and the operators that must stay in float, without moves."""
