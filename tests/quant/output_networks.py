"""Networks with every ending that users bring, and with several outputs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

IMAGE = (3, 8, 10)


class Found(NamedTuple):
    """What a detector returns."""

    boxes: torch.Tensor
    logits: torch.Tensor


class EndingNet(nn.Module):
    """A function of (modules, x) on `[N, 3, 8, 10]` images, with what it may end in at hand."""

    def __init__(self, function: Callable[["EndingNet", torch.Tensor], Any]) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Conv2d(3, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 6, 1)
        self.classify, self.locate = nn.Linear(8, 3), nn.Linear(8, 4)
        self.norm = nn.LayerNorm(3)
        self.function = function

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, 8, 8, 10]`, not negative."""
        return torch.relu(self.conv(torch.relu(self.stem(x))))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, 3]`."""
        made: torch.Tensor = self.classify(self.features(x).mean((2, 3)))
        return made

    def forward(self, x: torch.Tensor) -> Any:
        """Return what the function returns."""
        return self.function(self, x)


def _heads(net: EndingNet, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pooled = net.features(x).mean((2, 3))
    return net.locate(pooled), net.classify(pooled)


def _pyramid(net: EndingNet, x: torch.Tensor) -> Any:
    coarse = functional.max_pool2d(fine := net.features(x), 2)
    return net.classify(coarse.mean((2, 3))), [fine, coarse, net.last(fine)]


def _read_inside(net: EndingNet, x: torch.Tensor) -> Any:
    signed = net.conv(torch.relu(net.stem(x)))
    logits = net.classify(torch.relu(signed).mean((2, 3)))
    return {"logits": logits, "signed": signed, "likely": logits.softmax(1)}


def _silu_inside(net: EndingNet, x: torch.Tensor) -> Any:
    return net.conv(y := functional.silu(net.stem(x))), y


def _boxes(net: EndingNet, x: torch.Tensor) -> torch.Tensor:
    grid: torch.Tensor = net.last(net.features(x))
    return grid.view(x.shape[0], 2, 3, *grid.shape[2:]).permute(0, 1, 3, 4, 2)


def _twice(net: EndingNet, x: torch.Tensor) -> Any:
    return {"a": (y := net.logits(x)), "b": y, "c": (z := net.features(x)), "d": z}


ENDINGS: dict[str, tuple[Callable[[EndingNet, torch.Tensor], Any], tuple[str, ...]]] = {
    "relu": (lambda n, x: torch.relu(n.logits(x)), ("output",)),
    "mean": (lambda n, x: torch.relu(n.last(n.features(x))).mean((2, 3)), ("output",)),
    "adaptive pool": (
        lambda n, x: functional.adaptive_avg_pool2d(n.last(n.features(x)), 1).flatten(1),
        ("output",),
    ),
    "max pool": (lambda n, x: functional.max_pool2d(n.features(x), 2), ("output",)),
    "most of each channel": (
        lambda n, x: functional.adaptive_max_pool2d(n.last(n.features(x)), 1).flatten(1),
        ("output",),
    ),
    "sum": (lambda n, x: n.conv(y := torch.relu(n.stem(x))) + y, ("output",)),
    "concatenation": (lambda n, x: torch.cat([n.features(x), n.stem(x)], 1), ("output",)),
    "softmax": (lambda n, x: n.logits(x).softmax(1), ("output",)),
    "sigmoid": (lambda n, x: n.last(n.features(x)).sigmoid(), ("output",)),
    "layer norm": (lambda n, x: n.norm(n.logits(x)), ("output",)),
    "gelu": (lambda n, x: functional.gelu(n.logits(x)), ("output",)),
    "squeeze": (lambda n, x: n.logits(x).squeeze(), ("output",)),
    "segmentation": (lambda n, x: n.last(n.features(x)), ("output",)),
    "flattened": (lambda n, x: torch.relu(n.last(n.features(x))).flatten(1), ("output",)),
    "one value": (lambda n, x: n.locate(n.features(x).mean((2, 3)))[:, :1].squeeze(1), ("output",)),
    "boxes": (_boxes, ("output",)),
    "tuple": (_heads, ("output.0", "output.1")),
    "dictionary": (
        lambda n, x: dict(zip(("float_input", "logits"), _heads(n, x), strict=True)),
        ("float_input", "logits"),
    ),
    "named tuple": (lambda n, x: Found(*_heads(n, x)), ("boxes", "logits")),
    "pyramid": (_pyramid, ("output.0", "output.1.0", "output.1.1", "output.1.2")),
    "read inside": (_read_inside, ("logits", "signed", "likely")),
    "silu read inside": (_silu_inside, ("output.0", "output.1")),
    "input": (lambda n, x: (n.logits(x), x), ("output.0", "output.1")),
    "twice": (_twice, ("a", "b", "c", "d")),
    "called as an operator inside": (
        lambda n, x: {"logits": (y := n.logits(x)), "softmax": y.softmax(1)},
        ("logits", "softmax"),
    ),
    "none": (lambda n, x: {"logits": n.logits(x), "aux": None}, ("logits",)),
}
"""By name: what it returns, and how its outputs are called."""
