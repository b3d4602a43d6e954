"""The table's networks, trained, as `--task.model` names them with `--task.epochs 0`."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from env.tasks.networks.cifar_resnet import cifar_resnet
from env.tasks.weights import load_weights
from tools.retraining_table.data import (
    WEIGHTS_FILE,
    fashion_mnist,
    raw_fashion_mnist,
    shared_file,
)
from tools.retraining_table.plain_training import PlainRecipe, trained

_CLASSES = 10


def depthwise() -> nn.Module:
    """Return a small MobileNet for Fashion-MNIST, trained by SGD."""
    recipe = PlainRecipe(optimizer="sgd", learning_rate=0.1, epochs=4)
    return trained("depthwise", DepthwiseNet, recipe, fashion_mnist)


def raw_resnet8() -> nn.Module:
    """Return a ResNet-8 that reads Fashion-MNIST's pixels as they are, trained by SGD."""
    make = partial(cifar_resnet, 8, in_channels=1, stem_stride=2)
    recipe = PlainRecipe(optimizer="sgd", learning_rate=0.05, epochs=3)
    return trained("raw-resnet8", make, recipe, raw_fashion_mnist)


def resnet20() -> nn.Module:
    """Return a ResNet-20 for Fashion-MNIST, trained by Adam."""
    make = partial(cifar_resnet, 20, in_channels=1, stem_stride=2)
    recipe = PlainRecipe(optimizer="adam", learning_rate=1e-3, epochs=3)
    return trained("resnet20", make, recipe, fashion_mnist)


def published_resnet20() -> nn.Module:
    """Return the ResNet-20 for CIFAR-10 that others trained and published.

    Raises:
        DataError: the file is not there.
    """
    module = PaddedResNet(blocks=3)
    load_weights(module, shared_file(WEIGHTS_FILE))
    return module.eval()


class DepthwiseNet(nn.Module):
    """Depthwise and pointwise convolutions in turn, each with batch norm and ReLU6."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        parts = [_normed(1, 16, kernel=3, stride=2)]
        for inputs, outputs, stride in ((16, 32, 1), (32, 64, 2), (64, 64, 1)):
            parts.append(_normed(inputs, inputs, kernel=3, stride=stride, groups=inputs))
            parts.append(_normed(inputs, outputs, kernel=1))
        self.features = nn.Sequential(*parts)
        self.head = nn.Linear(64, _CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 10]` of images `[N, 1, H, W]`."""
        logits: torch.Tensor = self.head(self.features(x).mean((2, 3)))
        return logits


class PaddedBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", section 3.3, option A.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make the layers; where channels are added, the shortcut pads them with zeros."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self._added = (outputs - inputs) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `[N, outputs, H / stride, W / stride]`."""
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self._added:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self._added, self._added))
        return torch.relu(inner + x)


class PaddedResNet(nn.Module):
    """A ResNet of depth 6 n + 2 with names as in the published files."""

    def __init__(self, blocks: int) -> None:
        """Make the layers; `blocks` is n."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, _CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 10]` of images `[N, 3, 32, 32]`."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.linear(functional.avg_pool2d(x, 8).flatten(1))
        return logits


def _normed(
    inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = PaddedBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(PaddedBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
