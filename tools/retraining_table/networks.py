"""The table's networks, trained, as `--task.model` names them with `--task.epochs 0`."""

from functools import partial

from torch import nn

from env.tasks.networks.cifar_resnet import cifar_resnet
from env.tasks.networks.depthwise_net import DepthwiseNet
from env.tasks.weights.fit import load_weights
from tools.retraining_table.data import (
    WEIGHTS_FILE,
    fashion_mnist,
    raw_fashion_mnist,
    shared_file,
)
from tools.retraining_table.plain_training import PlainRecipe, trained


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
    module = cifar_resnet(20, shortcut="zeros")
    load_weights(module, shared_file(WEIGHTS_FILE))
    return module.eval()
