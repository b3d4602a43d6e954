"""Small networks and random candidates that the tests of every package share.

Not used by the project itself; whoever adds an operator or a method tests it on these.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from quant.allocation import Allocation, bits_for
from quant.layers import INPUT_BITS, LayerSpec
from quant.network import QuantizedNetwork, prepare
from quant.records.progress import Progress
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrained import Retrained
from quant.retraining.retrainer import Retrainer


class TinyResidualNet(nn.Module):
    """A residual network that holds every awkward case at once, on `[N, 1, 8, 8]` images.

    Odd channel counts; an identity and a strided 1x1 shortcut; two layers that read one tensor;
    a signed tensor (the second sum has no ReLU) read by a padded convolution; ReLU and ReLU6;
    max pooling, a flatten by `view` of more than one pixel, and dropout.
    """

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 9, 3, padding=1, bias=False), nn.BatchNorm2d(9), nn.ReLU6()
        )
        self.same = _Block(9, 9, stride=1)
        self.down = _Block(9, 15, stride=2)
        self.head = nn.Conv2d(15, 13, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(13 * 4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]`."""
        x = torch.relu(self.same(self.stem(x)))
        x = self.pool(torch.relu(self.head(self.down(x))))
        logits: torch.Tensor = self.classifier(self.dropout(x.view(x.shape[0], -1)))
        return logits


class _Block(nn.Module):
    """Two convolutions and a shortcut; the sum stays signed."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = nn.functional.relu6(self.norm1(self.conv1(x)))
        total: torch.Tensor = self.norm2(self.conv2(inner)) + self.shortcut(x)
        return total


class TinyBranchNet(nn.Module):
    """Concatenation, depthwise, grouped and dilated convolutions and average pooling.

    Takes `[N, 3, 10, 12]` images: not square, so that swapped heights and widths show.
    """

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), padding=(1, 2))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 6, 3, padding=2, dilation=2, groups=2)
        self.mixed = nn.Conv2d(14, 7, 1)
        self.squeeze = nn.AvgPool2d((2, 3), stride=(2, 2), padding=(0, 1))
        self.last = nn.Conv2d(7, 11, 3)
        self.classifier = nn.Linear(11, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]`."""
        x = torch.relu(self.stem(x))
        x = torch.cat([torch.relu(self.depthwise(x)), self.grouped(x)], dim=1)
        x = self.squeeze(torch.relu(self.mixed(x)))
        logits: torch.Tensor = self.classifier(torch.relu(self.last(x)).mean((2, 3)))
        return logits


class TinyGatedNet(nn.Module):
    """Functions that become tables, and products: one value a channel, and of equal shapes.

    Takes `[N, 3, 7, 9]` images.
    """

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 9, 3, padding=1), nn.Hardswish())
        self.depthwise = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.reduce, self.expand = nn.Conv2d(9, 4, 1), nn.Conv2d(4, 9, 1)
        self.project = nn.Conv2d(9, 9, 1)
        self.left, self.right = nn.Conv2d(9, 6, 3, stride=2), nn.Conv2d(9, 6, 3, stride=2)
        self.classifier = nn.Linear(6, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, classes]`."""
        x = self.stem(x)
        y = nn.functional.silu(self.depthwise(x))
        gate = self.expand(torch.relu(self.reduce(y.mean((2, 3), keepdim=True))))
        x = x + self.project(y * nn.functional.hardsigmoid(gate))
        x = torch.relu(self.left(x) * torch.tanh(self.right(x)))
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits


def shake_batch_norm(module: nn.Module, seed: int = 0) -> None:
    """Give every batch norm statistics and scales that a folding mistake cannot hide behind."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.3, 2.0, generator=generator)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.5, 0.5, generator=generator)


def random_images(count: int, shape: Sequence[int] = (1, 8, 8), seed: int = 0) -> torch.Tensor:
    """Return standard normal float32 images `[count, *shape]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator)


def prepare_calibrated(module: nn.Module, images: torch.Tensor) -> QuantizedNetwork:
    """Return the module with quantizers calibrated on `images`, in evaluation mode."""
    network = prepare(module, images[:1])
    network.calibrate(images)
    network.eval()
    return network


def at_bits(network: QuantizedNetwork, bits: int) -> QuantizedNetwork:
    """Choose one width for all weights and activations, and return the same network."""
    network.set_allocation(Allocation.uniform(network.layers, bits))
    return network


def retrain(
    network: QuantizedNetwork,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: FinetuneConfig,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Retrained:
    """Retrain a network in place, at its allocation, from where it is."""
    return Retrainer(network, images, labels, config).retrain(network, seed=seed, progress=progress)


def random_allocation(
    layers: Sequence[LayerSpec],
    rng: np.random.Generator,
    choices: Sequence[int] = tuple(range(2, 9)),
) -> Allocation:
    """Draw bits for every layer; tied layers agree and the network's input keeps its 8 bits."""
    tensors = {tensor: int(rng.choice(choices)) for layer in layers for tensor in layer.tensors}
    tensors |= {layer.tensor: INPUT_BITS for layer in layers if layer.reads_input}
    tensors |= {layer.right: INPUT_BITS for layer in layers if layer.right_reads_input}
    return Allocation.of(
        {
            layer.name: bits_for(
                layer,
                int(rng.choice(choices)) if layer.has_weights else tensors[layer.right],
                tensors[layer.tensor],
            )
            for layer in layers
        }
    )
