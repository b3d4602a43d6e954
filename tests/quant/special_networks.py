"""Networks with what users have and integer kernels do not: islands, sequences, shared modules."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

IMAGE = (3, 8, 8)
SEQUENCE = (5, 20)


class SpecialNet(nn.Module):
    """A stem, a body under test, pooling and a linear layer; for images or sequences."""

    def __init__(self, body: nn.Module, channels: int = 8, *, sequence: bool = False) -> None:
        super().__init__()
        conv = nn.Conv1d if sequence else nn.Conv2d
        self.stem = conv(SEQUENCE[0] if sequence else IMAGE[0], 8, 3, padding=1)
        self.body = body
        self.classifier = nn.Linear(channels, 4)
        self.input_shape = SEQUENCE if sequence else IMAGE

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 4]`."""
        x = self.body(torch.relu(self.stem(x)))
        logits: torch.Tensor = self.classifier(x.mean(tuple(range(2, x.ndim))))
        return logits


class Function(nn.Module):
    """A function of (modules, x), with two convolutions and a computed weight at hand."""

    def __init__(self, function: Callable[["Function", torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 1)
        self.kernel = nn.Parameter(torch.randn(8, 8, 3, 3) / 8)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the function computes."""
        return self.function(self, x)


class SqueezeExcitation(nn.Module):
    """Scales each channel by what a small network makes of its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` scaled."""
        scale = functional.adaptive_avg_pool2d(x, 1)
        scale = torch.sigmoid(self.expand(torch.relu(self.reduce(scale))))
        return x * scale


def _computed_weight(net: Function, x: torch.Tensor) -> torch.Tensor:
    kernel = net.kernel - net.kernel.mean((1, 2, 3), keepdim=True)
    y: torch.Tensor = net.second(functional.conv2d(x, kernel, padding=1))
    return y


def _in_place(net: Function, x: torch.Tensor) -> torch.Tensor:
    y = net.first(x)
    z: torch.Tensor = functional.hardswish(y.clone(), inplace=True) + y
    return z


def _composed(net: Function, x: torch.Tensor) -> torch.Tensor:
    """Compute a hard-swish as older networks write it, and a square that is added."""
    y = net.first(x)
    y = y * functional.relu6(y + 3) / 6
    z = net.second(y)
    return torch.relu(z * z * 0.5 + y)


def _padding(net: Function, x: torch.Tensor) -> torch.Tensor:
    y = net.first(functional.pad(x, (0, 1, 2, 0)))  # behind a ReLU: written with zeros
    y = net.second(functional.pad(y, (1, 0, 0, 3))) + functional.pad(y, (0, 1, 3, 0))
    return functional.pad(y, (2, 1, 0, 1))  # of wide codes


class Attention(nn.Module):
    """A transformer's layer over the pixels as tokens, with a learned position."""

    def __init__(self, *, from_scratch: bool) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, 0.1, "gelu", batch_first=True)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))
        self.queries, self.mixed = nn.Linear(8, 24), nn.Linear(8, 8)
        self.from_scratch = from_scratch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of the same shape, less their last token, for one that is learned."""
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat((self.first.expand(n, -1, -1), tokens[:, :-1]), 1)
        tokens = self.scratch(tokens) if self.from_scratch else self.layer(tokens)
        images: torch.Tensor = tokens.transpose(1, 2).reshape(n, c, h, w)
        return images

    def scratch(self, x: torch.Tensor) -> torch.Tensor:
        """Attend as timm's networks do: three matrices in one, five sizes, products by hand."""
        n, t, c = x.shape
        q, k, v = self.queries(x).reshape(n, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * c**-0.5).softmax(-1)
        mixed: torch.Tensor = self.mixed((weights @ v).transpose(1, 2).reshape(n, t, c))
        return x + mixed


class Positions(nn.Module):
    """Adds to each column of an image an embedding of its place."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(IMAGE[2], 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of the same shape."""
        places: torch.Tensor = self.table(torch.arange(x.shape[3]))
        moved: torch.Tensor = x + places.t()[None, :, None, :]
        return moved


class Recurrent(nn.Module):
    """A recurrent network over a sequence; its last state, or what it makes at each step."""

    def __init__(self, network: nn.RNNBase, *, state: bool = False) -> None:
        super().__init__()
        self.network, self.state = network, state

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `[N, C, L]`, or `[N, C, 1]`."""
        made, state = self.network(x.permute(0, 2, 1))
        hidden: torch.Tensor = state[0] if isinstance(state, tuple) else state
        return hidden[-1].unsqueeze(2) if self.state else made.permute(0, 2, 1)


SPECIAL_NETWORKS: dict[str, tuple[Callable[[], SpecialNet], tuple[str, ...]]] = {
    "residual": (lambda: SpecialNet(Function(lambda n, x: torch.relu(n.first(x) + x))), ()),
    "dense": (
        lambda: SpecialNet(Function(lambda n, x: torch.cat([x, n.first(x)], 1)), 16),
        (),
    ),
    "squeeze-excitation": (lambda: SpecialNet(SqueezeExcitation()), ()),
    "hard-swish": (
        lambda: SpecialNet(nn.Sequential(nn.Conv2d(8, 8, 3), nn.Hardswish(), nn.Conv2d(8, 8, 1))),
        (),
    ),
    "in place": (lambda: SpecialNet(Function(_in_place)), ()),
    "silu": (
        lambda: SpecialNet(nn.Sequential(nn.Conv2d(8, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 1))),
        (),
    ),
    "sigmoid": (lambda: SpecialNet(nn.Sequential(nn.Sigmoid(), nn.Conv2d(8, 8, 3))), ()),
    "composed": (lambda: SpecialNet(Function(_composed)), ()),
    "gated": (lambda: SpecialNet(Function(lambda n, x: n.first(x) * n.second(x).tanh())), ()),
    "prelu": (
        lambda: SpecialNet(nn.Sequential(nn.Conv2d(8, 8, 3), nn.PReLU(8), nn.SiLU())),
        ("prelu", "silu"),
    ),
    "grouped and dilated": (
        lambda: SpecialNet(
            nn.Sequential(
                nn.Conv2d(8, 12, 3, groups=4),
                nn.ReLU(),
                nn.Conv2d(12, 8, 3, padding="same", dilation=2),
            )
        ),
        (),
    ),
    "sequence": (
        lambda: SpecialNet(
            nn.Sequential(
                nn.Conv1d(8, 8, 5, stride=2, padding=2, groups=8),
                nn.BatchNorm1d(8),
                nn.ReLU(),
                nn.MaxPool1d(2),
                nn.Conv1d(8, 8, 3, dilation=2, padding="same"),
                nn.SiLU(),
            ),
            sequence=True,
        ),
        (),
    ),
    "transposed": (
        lambda: SpecialNet(nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1)),
        ("conv_transpose2d",),
    ),
    "called twice": (
        lambda: SpecialNet(Function(lambda n, x: n.first(torch.relu(n.first(x))))),
        (),
    ),
    "functional convolution": (lambda: SpecialNet(Function(_computed_weight)), ("conv2d",)),
    "dropout": (
        lambda: SpecialNet(nn.Sequential(nn.Dropout2d(0.5), nn.Conv2d(8, 8, 3), nn.Dropout(0.2))),
        (),
    ),
    "padding": (lambda: SpecialNet(Function(_padding)), ()),
    "padded sequence": (
        lambda: SpecialNet(
            nn.Sequential(nn.ConstantPad1d((3, 0), 0.0), nn.Conv1d(8, 8, 4), nn.ReLU()),
            sequence=True,
        ),
        (),
    ),
    "other padding": (
        lambda: SpecialNet(nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(8, 8, 3))),
        ("pad",),
    ),
    "adaptive pooling": (lambda: SpecialNet(nn.AdaptiveAvgPool2d((4, 2))), ()),
    "uneven adaptive pooling": (
        lambda: SpecialNet(nn.AdaptiveAvgPool2d((3, 5))),
        ("adaptive_avg_pool2d",),
    ),
    "batch norm first": (
        lambda: SpecialNet(nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))),
        ("batch_norm", "relu"),
    ),
    "three islands": (
        lambda: SpecialNet(
            nn.Sequential(
                *(nn.PReLU(8), nn.Conv2d(8, 8, 3), nn.ConvTranspose2d(8, 8, 3, stride=2)),
                *(nn.Conv2d(8, 8, 1), nn.Softmax(1), nn.Tanh(), nn.Conv2d(8, 8, 1)),
            )
        ),
        ("prelu", "conv_transpose2d", "softmax", "tanh"),
    ),
    "parts of a tuple": (
        lambda: SpecialNet(
            Function(
                lambda n, x: n.second(torch.cat([p.tanh() for p in n.first(x).chunk(2, 1)], 1))
            )
        ),
        (),
    ),
    "transformer layer": (
        lambda: SpecialNet(Attention(from_scratch=False)),
        ("layer_norm", "softmax", "layer_norm"),
    ),
    "attention": (
        lambda: SpecialNet(Attention(from_scratch=True)),
        ("softmax",),
    ),
    "gru": (lambda: SpecialNet(Recurrent(nn.GRU(8, 8, batch_first=True)), sequence=True), ("gru",)),
    "lstm": (
        lambda: SpecialNet(
            Recurrent(nn.LSTM(8, 8, 2, batch_first=True, bidirectional=True), state=True),
            sequence=True,
        ),
        ("lstm",),
    ),
    "rnn": (
        lambda: SpecialNet(
            Recurrent(nn.RNN(8, 8, nonlinearity="relu", batch_first=True)), sequence=True
        ),
        ("rnn_relu",),
    ),
    "volumes": (
        lambda: SpecialNet(
            nn.Sequential(
                *(nn.Unflatten(1, (2, 4)), nn.Conv3d(2, 3, 3, padding=1), nn.BatchNorm3d(3)),
                *(nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(1, 2)),
            ),
            6,
        ),
        ("conv3d", "batch_norm", "relu", "max_pool3d"),
    ),
    "embedded positions": (
        lambda: SpecialNet(Positions()),
        (),
    ),
}
"""What makes each network, and the operators that must stay in float, without moves of data."""
