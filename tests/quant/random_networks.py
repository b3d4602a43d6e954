"""Random small networks of operators that people use, for the fuzz.

Each operator is dealt from a deck, so that all occur about as often.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as f

from tests.quant.output_networks import ENDINGS, EndingNet

IMAGE = (3, 8, 8)
CHANNELS = 8

Image = torch.Tensor
Operator = Callable[[], nn.Module]
"""Makes a module from `[N, 8, H, W]` to `[N, 8, H', W']`, for H and W of at least 4."""


class Function(nn.Module):
    """A function of images, and of modules that it may use."""

    def __init__(self, function: Callable[..., Image], *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.uses = function, nn.ModuleList(modules)

    def forward(self, x: Image) -> Image:
        """Return what the function computes."""
        return self.function(x, *self.uses)


def _function(function: Callable[..., Image], *makes: Callable[[], nn.Module]) -> Operator:
    return lambda: Function(function, *(make() for make in makes))


def _conv(kernel: int = 3, **arguments: int | str) -> Callable[[], nn.Module]:
    padding = arguments.pop("padding", kernel // 2)
    return lambda: nn.Conv2d(8, 8, kernel, padding=padding, **arguments)  # type: ignore[arg-type]


def _small(x: Image) -> Image:
    """Shrink what would take a recurrent network or attention long."""
    return f.adaptive_avg_pool2d(x, 4)


def _tokens(function: Callable[..., Image]) -> Callable[..., Image]:
    """Apply a function of `[N, 16, 8]` to the pixels of a small image."""

    def apply(x: Image, *modules: nn.Module) -> Image:
        made = function(_small(x).flatten(2).transpose(1, 2), *modules)
        return made.transpose(1, 2).reshape(x.shape[0], 8, 4, 4)

    return apply


def _with_class_token(x: Image) -> Image:
    return torch.cat([torch.full((1, 1, 8), 0.3).expand(x.shape[0], -1, -1), x], 1)


def _attend(x: Image, both: nn.Module, out: nn.Module) -> Image:
    n, t, c = x.shape
    q, k, v = both(x).reshape(n, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
    made: Image = out((weights @ v).transpose(1, 2).reshape(n, t, c))
    return x + made


def _columns(x: Image, network: nn.Module) -> Image:
    """Run a recurrent network over the columns of a small image."""
    made: Image = network(_small(x).mean(2).transpose(1, 2))[0]
    return made.transpose(1, 2)[:, :, None, :].expand(-1, -1, 4, -1)


def _write(x: Image) -> Image:
    y = x.clone()
    y[:, 0] = 0.25
    y[..., 1] *= 2
    return y


def _shuffle(x: Image) -> Image:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


SUPPORTED: dict[str, Operator] = {
    "conv2d": _conv(),
    "depthwise": _conv(groups=8),
    "grouped": _conv(groups=2),
    "dilated": _conv(padding="same", dilation=2),
    "pointwise": _conv(1),
    "batch norm": lambda: nn.Sequential(_conv()(), nn.BatchNorm2d(8)),
    "relu": lambda: nn.Sequential(_conv()(), nn.ReLU(inplace=True)),
    "relu6": lambda: nn.Sequential(_conv(1)(), nn.ReLU6()),
    "clamp": _function(lambda x, c: c(x).clamp(0, 2), _conv(1)),
    "max pool": lambda: nn.MaxPool2d(3, 1, 1),
    "avg pool": lambda: nn.Sequential(_conv(1)(), nn.AvgPool2d(3, 1, 1)),
    "residual": _function(lambda x, c, d: c(x) + d(x), _conv(), _conv(1)),
    "concat": _function(lambda x, c: torch.cat([c(x)[:, :], x], 1)[:, ::2], _conv(1)),
    "gate": _function(lambda x, c, d: c(x) * d(x).sigmoid(), _conv(), _conv(1)),
    "squeeze-excitation": _function(
        lambda x, c, d: c(x) * d(c(x).mean((2, 3), keepdim=True)).sigmoid(), _conv(1), _conv(1)
    ),
    "hardswish": lambda: nn.Sequential(_conv(1)(), nn.Hardswish()),
    "silu": lambda: nn.Sequential(_conv(1)(), nn.SiLU()),
    "gelu": lambda: nn.Sequential(_conv(1)(), nn.GELU()),
    "elu": lambda: nn.Sequential(_conv(1)(), nn.ELU()),
    "tanh": lambda: nn.Sequential(_conv(1)(), nn.Tanh()),
    "leaky relu": lambda: nn.Sequential(_conv(1)(), nn.LeakyReLU(0.1)),
    "pad": _function(lambda x, c: c(f.pad(x, (1, 0, 0, 1))), _conv(1)),
    "dropout": lambda: nn.Sequential(nn.Dropout2d(0.3), _conv(1)(), nn.Dropout(0.2)),
    "called twice": _function(lambda x, c: c(c(x).relu()), _conv()),
    "prelu": lambda: nn.Sequential(_conv(1)(), nn.PReLU(8)),
    "batch norm alone": lambda: nn.Sequential(nn.Tanh(), nn.BatchNorm2d(8)),
    "group norm": lambda: nn.GroupNorm(2, 8),
    "instance norm": lambda: nn.InstanceNorm2d(8, affine=True),
    "layer norm": _function(
        lambda x, norm: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), lambda: nn.LayerNorm(8)
    ),
    "rms norm": _function(lambda x: f.rms_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)),
    "local response norm": lambda: nn.LocalResponseNorm(3),
    "normalize": _function(lambda x: f.normalize(x, dim=1)),
    "softmax": lambda: nn.Softmax(1),
    "transposed": lambda: nn.Sequential(_conv(3, stride=2)(), nn.ConvTranspose2d(8, 8, 2, 2)),
    "uneven average": lambda: nn.AdaptiveAvgPool2d((5, 4)),
    "adaptive maximum": lambda: nn.AdaptiveMaxPool2d((5, 4)),
    "ceil mode": lambda: nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Upsample(size=6)),
    "reflection": lambda: nn.Sequential(nn.ReflectionPad2d(1), _conv(3, padding=0)()),
    "nearest": lambda: nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=1.7)),
    "bilinear": lambda: nn.Upsample(size=(6, 7), mode="bilinear"),
    "pixel shuffle": lambda: nn.Sequential(
        nn.Conv2d(8, 32, 1), nn.PixelShuffle(2), nn.MaxPool2d(2)
    ),
    "channel shuffle": _function(_shuffle),
    "linear on tokens": _function(_tokens(lambda x, layer: layer(x)), lambda: nn.Linear(8, 8)),
    "transformer layer": _function(
        _tokens(lambda x, layer: layer(x)),
        lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
    ),
    "attention": _function(_tokens(_attend), lambda: nn.Linear(8, 24), lambda: nn.Linear(8, 8)),
    "attention of torch": _function(
        _tokens(lambda x, layer: x + layer(*[x.transpose(0, 1)] * 3)[0].transpose(0, 1)),
        lambda: nn.MultiheadAttention(8, 2),
    ),
    "mixed tokens": _function(
        _tokens(lambda x, a, b: x + b(f.gelu(a(x.mT))).mT),
        lambda: nn.Linear(16, 12),
        lambda: nn.Linear(12, 16),
    ),
    "class token": _function(
        _tokens(lambda x, norm: norm(_with_class_token(x))[:, 1:]), lambda: nn.LayerNorm(8)
    ),
    "places": _function(
        _tokens(lambda x, layer: layer(x + torch.linspace(-1, 1, 128).reshape(1, 16, 8))),
        lambda: nn.Linear(8, 8),
    ),
    "gate of halves": _function(
        _tokens(lambda x, both: (lambda a, b: f.silu(a) * b)(*both(x).chunk(2, -1))),
        lambda: nn.Linear(8, 16),
    ),
    "windows": _function(
        _tokens(lambda x, layer: layer(x.reshape(-1, 4, 8)).softmax(-1).view(x.shape)),
        lambda: nn.Linear(8, 8),
    ),
    "pairs of tokens": _function(
        _tokens(lambda x, layer: layer(x.flatten(1).unflatten(1, (8, 16))).view(x.shape)),
        lambda: nn.Linear(16, 16),
    ),
    "last token": _function(
        _tokens(lambda x, layer: x * layer(x[:, -1:]).sigmoid()), lambda: nn.Linear(8, 8)
    ),
    "matrix": _function(_tokens(lambda x, own: x @ own.weight), lambda: nn.Linear(8, 8)),
    "gru": _function(_columns, lambda: nn.GRU(8, 8, batch_first=True)),
    "lstm": _function(_columns, lambda: nn.LSTM(8, 8, batch_first=True)),
    "rnn": _function(_columns, lambda: nn.RNN(8, 8, batch_first=True)),
    "conv3d": _function(
        lambda x, c: c(x[:, None]).flatten(1, 2), lambda: nn.Conv3d(1, 1, 3, padding=1)
    ),
    "conv1d": _function(
        lambda x, c: c(x.flatten(2)).view_as(x), lambda: nn.Conv1d(8, 8, 3, padding=1)
    ),
    "einsum": _function(
        lambda x: torch.einsum("nchw,ndhw->ncd", x, x)[..., None].expand(-1, -1, -1, 5)
    ),
    "negative select": _function(lambda x: x + x[:, -1:] * x[..., -1, -2][:, :, None, None]),
    "negative slice": _function(lambda x: x[:, :, -4:, 1:-1] - x[:, -8:, :4, :-2]),
    "index": _function(lambda x: x[:, [0, -1, 2, -3, 4, 5, -2, 7]]),
    "roll and flip": _function(lambda x: x.roll(1, 2) + x.flip(3)),
    "running sum": _function(lambda x: x.cumsum(2) / 4),
    "extreme": _function(lambda x: x - x.max(1, keepdim=True)[0] + x.amin((2, 3), keepdim=True)),
    "largest place": _function(
        lambda x: x * f.one_hot(x.mean((2, 3)).argmax(1), 8)[:, :, None, None]
    ),
    "where": _function(lambda x: torch.where(x > 0.1, x, 0.2 * x - 1)),
    "deviation": _function(lambda x: x / (x.std((2, 3), keepdim=True) + 1)),
    "embedded columns": _function(
        lambda x, table: x + table(torch.arange(x.shape[3])).t()[None, :, None, :],
        lambda: nn.Embedding(16, 8),
    ),
    "parts": _function(lambda x: torch.cat([a.tanh() for a in x.chunk(2, 1)][::-1], 1)),
    "unfold": _function(lambda x: f.unfold(x, 3, padding=1).view(x.shape[0], 8, 9, -1)[:, :, 1:5]),
    "gated linear": _function(lambda x: torch.cat([f.glu(x, 1)] * 2, 1)),
    "write into": _function(_write),
}
"""By what people call them."""


def _if(x: Image) -> Image:
    return x if x.mean() > 0 else x * 2


def _assert(x: Image) -> Image:
    assert x.min() > -100, "too small"
    return x


UNSUPPORTED: dict[str, Callable[[Image], Image]] = {
    "bessel_j0": lambda x: torch.special.bessel_j0(x),
    "fft_rfft2": lambda x: torch.fft.rfft2(x).abs(),
    "sort": lambda x: x.sort(1)[0],
    "topk": lambda x: x.topk(8, 1)[0],
    "kthvalue": lambda x: x.kthvalue(2, 1, keepdim=True)[0] + x,
    "mode": lambda x: x.mode(1, keepdim=True)[0] + x,
    "digamma": lambda x: (x.abs() + 1).digamma(),
    "lgamma": lambda x: (x.abs() + 1).lgamma(),
    "inverse": lambda x: torch.linalg.inv(x[..., :4, :4] + torch.eye(4)),
    "item": lambda x: x * x.mean().item(),
    "nonzero": lambda x: x[:, :, (x[0, 0].sum(0) > 0).nonzero()[:, 0]].sum(2, keepdim=True) + x,
    "unique": lambda x: x + x.unique().sum(),
    "dropout in evaluation": lambda x: f.dropout(x, 0.5),
    "randn_like": lambda x: x + torch.randn_like(x),
    "rand": lambda x: x * torch.rand(1),
    "batch mean": lambda x: x - x.mean(0, keepdim=True),
    "batch statistics": lambda x: f.batch_norm(x, None, None, training=True),
    "if": _if,
    "assert": _assert,
    "numpy": lambda x: torch.from_numpy(x.detach().numpy()),
}
"""What must be refused in one sentence."""


class _Body(nn.Module):
    """Operators, one after the other."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Image) -> Image:
        """Return `[N, 8, H, W]`, for H and W of at least 4."""
        for part in self.parts:
            x = part(x)
            x = x if min(x.shape[2:]) >= 4 else f.pad(x, (0, 4, 0, 4))
        return x


class RandomNetwork(EndingNet):
    """A stem, operators, a convolution, and an ending."""

    def __init__(self, body: list[nn.Module], ending: str) -> None:
        super().__init__(ENDINGS[ending][0] if ending else EndingNet.logits)
        self.stem = nn.Sequential(self.stem, nn.ReLU(), _Body(body))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One network of the fuzz."""

    operators: tuple[str, ...]
    refused: str | None
    """The one of its operators that must be refused."""
    ending: str
    """One of `ENDINGS`; empty for logits."""
    seed: int

    def make(self) -> RandomNetwork:
        """Return the network, in evaluation mode."""
        torch.manual_seed(self.seed)
        body = [SUPPORTED[name]() for name in self.operators]
        if self.refused is not None:
            body.insert(self.seed % (len(body) + 1), Function(UNSUPPORTED[self.refused]))
        return RandomNetwork(body, self.ending).eval()


def random_cases(count: int, seed: int, *, operators: int = 7) -> Iterator[Case]:
    """Yield networks; each third one has an operator that must be refused.

    Half of the others have an ending that users bring, several outputs among them.

    Args:
        count: How many.
        seed: Decides all of them.
        operators: Supported ones in a network that is taken; those that are refused have two.
    """
    rng = np.random.default_rng(seed)
    taken, refused = _deal(list(SUPPORTED), rng), _deal(list(UNSUPPORTED), rng)
    endings = _deal(list(ENDINGS), np.random.default_rng(seed))
    for number in range(count):
        bad = next(refused) if number % 3 == 2 else None
        size = operators if bad is None else 2
        if bad is None:
            names = tuple(next(taken) for _ in range(size))
        else:
            names = tuple(str(name) for name in rng.choice(list(SUPPORTED), size))
        ending = next(endings) if number % 2 and bad is None else ""
        yield Case(operators=names, refused=bad, ending=ending, seed=seed * 1000 + number)


def _deal(names: list[str], rng: np.random.Generator) -> Iterator[str]:
    """Deal names from shuffled decks, one after the other."""
    while True:
        yield from (names[place] for place in rng.permutation(len(names)))
