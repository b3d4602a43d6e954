"""What the estimates should be, computed the slow and plain way."""

import torch
from torch import nn
from torch.nn import functional

from quant.network import QuantizedNetwork
from quant.outputs import main_tensor
from quant.sensitivities.batches import Batch, batches_of
from quant.testing import prepare_calibrated, random_images


class SmallNet(nn.Module):
    """A strided convolution, a grouped one read beside a residual addition, and a linear layer.

    The addition reads `stem`'s output unquantized; `inner` and `skip` read it quantized.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.skip = nn.Conv2d(4, 4, 1)
        self.pool = nn.MaxPool2d(2, stride=1)
        self.head = nn.Linear(36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = self.inner(x) + self.skip(x) + x
        logits: torch.Tensor = self.head(self.pool(x).flatten(1))
        return logits


def small_network(seed: int = 0) -> QuantizedNetwork:
    torch.manual_seed(seed)
    return prepare_calibrated(SmallNet(), random_images(32, seed=seed))


def small_batches(count: int = 12, size: int = 5) -> tuple[Batch, ...]:
    labels = torch.randint(0, 10, (count,), generator=torch.Generator().manual_seed(7))
    return tuple(batches_of(random_images(count, seed=3), labels, size))


def loss_moved(
    network: QuantizedNetwork, batch: Batch, *, weight: str = "", read: str = "", by: torch.Tensor
) -> torch.Tensor:
    """Return the summed loss with one layer's weight, or what is read of one node, moved."""
    images, labels = batch
    moved = network.clone()
    if weight:
        module = moved.layer(weight)
        del module._parameters["weight"]
        module.weight = network.layer(weight).weight.detach() + by  # type: ignore[assignment]
    logits = moved.float_outputs(images, read=lambda n, v: v + by if n == read else v)
    return functional.cross_entropy(main_tensor(logits), labels, reduction="sum")
