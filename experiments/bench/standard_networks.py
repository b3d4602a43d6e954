"""The networks of the runtime bench: well-known shapes with random weights."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import nn

from env.tasks.networks.cifar_resnet import cifar_resnet
from env.tasks.networks.convnext import ConvNeXtAtto
from env.tasks.networks.mobilenet_v2 import mobilenet_v2
from env.tasks.networks.resnet import resnet18
from env.tasks.networks.vision_transformer import VisionTransformer

_IMAGENET_SIZE = 224
_CIFAR_SIZE = 32

NetworkName = Literal["resnet18", "mobilenetv2", "resnet20", "resnet8", "vit-tiny", "convnext-atto"]
STANDARD_NETWORKS: Mapping[NetworkName, tuple[Callable[[], nn.Module], int]] = {
    "resnet18": (resnet18, _IMAGENET_SIZE),
    "mobilenetv2": (mobilenet_v2, _IMAGENET_SIZE),
    "resnet20": (lambda: cifar_resnet(20), _CIFAR_SIZE),
    "resnet8": (lambda: cifar_resnet(8), _CIFAR_SIZE),
    "vit-tiny": (VisionTransformer, _IMAGENET_SIZE),
    "convnext-atto": (ConvNeXtAtto, _IMAGENET_SIZE),
}
"""`{name: (maker, side of its images in pixels)}`. resnet8 is the image classification network of
MLPerf Tiny (Banbury et al. 2021, "MLPerf Tiny Benchmark"): one block a stage, 16 to 64 channels."""

_STATISTICS_IMAGES = 8


def make_network(name: NetworkName, seed: int) -> nn.Module:
    """Return a network with random weights, in evaluation mode.

    Its batch norms hold the statistics of random images: with those of an untrained network the
    values would fade from layer to layer, and engines are slow on denormal numbers.
    """
    maker, _ = STANDARD_NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = maker()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # average over all batches seen: exactly this one's statistics
    with torch.no_grad():
        module.train()(example_images(name, _STATISTICS_IMAGES, seed))
    return module.eval()


def example_images(name: NetworkName, count: int, seed: int) -> torch.Tensor:
    """Return `count` random images for a network, float32 `[N, 3, H, W]`."""
    _, size = STANDARD_NETWORKS[name]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, size, size, generator=generator)
