"""The networks that a configuration can name, each for any number of channels and classes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from env.tasks.networks.cifar_resnet import cifar_resnet, shortcut_of
from env.tasks.networks.conv1d_net import Conv1dNet
from env.tasks.networks.convnext import ConvNeXtAtto
from env.tasks.networks.depthwise_net import DepthwiseNet
from env.tasks.networks.digits_net import DigitsNet
from env.tasks.networks.efficientnet_lite import EfficientNetLite0
from env.tasks.networks.mlperf_tiny import (
    mlperf_autoencoder,
    mlperf_ds_cnn,
    mlperf_mobilenet,
    mlperf_resnet8,
)
from env.tasks.networks.mobilenet_v2 import mobilenet_v2
from env.tasks.networks.mobilevit import mobilevit_xxs
from env.tasks.networks.resnet import resnet18, resnet50
from env.tasks.networks.text_encoder import TextEncoder
from env.tasks.networks.vision_transformer import SmallVisionTransformer, VisionTransformer
from quant.retraining.float_training import TrainConfig

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "digits": DigitsNet,
    "digits-even": partial(DigitsNet, (32, 64, 64, 64), stride=1),
    "digits-narrow": partial(DigitsNet, (8, 16, 16, 16), stride=1),
    "conv1d": Conv1dNet,
    "depthwise": DepthwiseNet,
    "resnet8": partial(cifar_resnet, 8),
    "resnet8-stride2": partial(cifar_resnet, 8, stem_stride=2),
    "resnet20": partial(cifar_resnet, 20),
    "resnet56": partial(cifar_resnet, 56),
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenetv2": mobilenet_v2,
    "efficientnet-lite0": EfficientNetLite0,
    "convnext-atto": ConvNeXtAtto,
    "vit-tiny": VisionTransformer,
    "deit-tiny": VisionTransformer,
    "vit-micro": SmallVisionTransformer,
    "vit-micro-patch2": partial(SmallVisionTransformer, patch=2),
    "mobilevit-xxs": mobilevit_xxs,
    "text-encoder": TextEncoder,
    "mlperf-resnet8": mlperf_resnet8,
    "mlperf-ds-cnn": mlperf_ds_cnn,
    "mlperf-mobilenet": mlperf_mobilenet,
    "mlperf-autoencoder": mlperf_autoencoder,
}
"""Each takes `in_channels` and `classes` and returns the untrained network. `digits-even` keeps the
image's size, as `digits-narrow` does, which has a quarter of its channels: few bits cost it more.
The ResNets of depth 8, 20 and 56 are for small images (`resnet8-stride2` halves them first), as
`digits`, `depthwise` and `vit-micro` are (whose patches are 4 pixels wide); `conv1d` is for
signals; the others for 224x224. `vit-tiny` and `deit-tiny` are one network, of which two sets of
weights are published. `text-encoder` reads 1,024 different tokens, in texts as long as the data's.
Those of MLPerf Tiny are for 32x32 images, 49x10 features, 96x96 images and vectors."""

_OF_TOKENS: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "warm_up": 0.1,
}
"""Source: Touvron et al. 2021, "Training data-efficient image transformers", table 9, for all but
the share of warming up."""
_RECIPES: dict[str, dict[str, Any]] = dict.fromkeys(
    (
        *("convnext-atto", "vit-tiny", "deit-tiny", "vit-micro", "vit-micro-patch2"),
        *("mobilevit-xxs", "text-encoder"),
    ),
    _OF_TOKENS,
)
"""What of a task's recipe a network trains by instead; the others take the task's as it is."""


def recipe_for(name: str, recipe: TrainConfig) -> TrainConfig:
    """Return how one of `NETWORKS` is trained in float on a task.

    Args:
        name: One of `NETWORKS`.
        recipe: The task's own.
    """
    return replace(recipe, **_RECIPES.get(name, {}))


def network_maker(
    name: str, *, in_channels: int, classes: int, weights: Iterable[str] = ()
) -> Callable[[], nn.Module]:
    """Return what makes one of `NETWORKS`, untrained.

    Args:
        name: One of `NETWORKS`.
        in_channels: Channels of the images.
        classes: Number of logits.
        weights: Names of the weights that will be loaded, where some will: they decide what the
            shortcuts of CIFAR's ResNets are.
    """
    make = partial(NETWORKS[name], in_channels=in_channels, classes=classes)
    names = tuple(weights)
    if names and make.func is cifar_resnet:
        return partial(make, shortcut=shortcut_of(names))
    return make
