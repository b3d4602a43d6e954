"""Small networks of the kinds that people export, with batch norms that have seen something."""

import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.conv1 = nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(8, 8, 1, stride=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = functional.relu(self.norm1(self.conv1(x)) + self.shortcut(x))
        made: torch.Tensor = self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return made


class Squeezed(nn.Module):
    """A depthwise block with squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(functional.relu6(self.stem(x)))
        share = self.up(self.down(functional.adaptive_avg_pool2d(x, 1)).relu())
        x = functional.silu(x * functional.hardsigmoid(share))
        made: torch.Tensor = self.head(x.mean([2, 3]))
        return made


class Branches(nn.Module):
    """Two branches that are joined, a shuffle of channels, and a reshape with the batch in it."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1)
        self.right = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LeakyReLU(0.1), nn.MaxPool2d(3, 1, 1))
        self.mixed = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6 * 36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.left(x), self.right(x)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = functional.gelu(self.mixed(x))
        made: torch.Tensor = self.head(x.view(x.size(0), -1))
        return made


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(2, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.ReLU()),
            *(nn.Conv1d(8, 8, 3, padding="same", groups=2), nn.ELU(), nn.AvgPool1d(2)),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.body(x).mean(-1))
        return made


class Upwards(nn.Module):
    """An image from an image."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.end = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = self.down(x).relu()
        x = self.up(low) + functional.interpolate(low[:, :4], scale_factor=2.0)
        made: torch.Tensor = self.end(x)
        return made


class Attention(nn.Module):
    """Patches, a class token and one attention: what vision transformers leave in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 17, 16) / 4)
        self.norm = nn.LayerNorm(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        n = x.shape[0]
        x = torch.cat([self.token.expand(n, -1, -1), x], 1) + self.places
        q, k, v = self.qkv(self.norm(x)).reshape(n, 17, 3, 4, 4).permute(2, 0, 3, 1, 4)
        shares = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
        x = x + self.out((shares @ v).transpose(1, 2).reshape(n, 17, 16))
        made: torch.Tensor = self.head(x[:, 0])
        return made


NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...], int]] = {
    "residual": (Residual, (3, 8, 8), 4),
    "squeezed": (Squeezed, (3, 8, 8), 5),
    "branches": (Branches, (3, 8, 8), 4),
    "sequence": (Sequence, (2, 40), 3),
    "upwards": (Upwards, (3, 8, 8), 2),
    "attention": (Attention, (3, 8, 8), 4),
}
"""For each the class, the shape of an input, and how many layers become integers."""


def trained(name: str) -> nn.Module:
    """A network whose batch norms do not compute nothing."""
    torch.manual_seed(5)
    make, shape, _ = NETWORKS[name]
    network = make()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, *shape) * 2 + 1)
    return network.eval()
