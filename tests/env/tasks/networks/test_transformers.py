"""Transformers and ConvNeXt: names and shapes of published files, and what becomes of them.

Their published weights were never loaded here: no network leads to them. The names and shapes below
were written down from timm's and DeiT's sources.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from env.tasks import TaskConfig, float_module, load_task
from env.tasks.networks.catalogue import NETWORKS
from quant.allocation import Allocation
from quant.capture.capture import capture
from quant.convert import convert
from quant.integer import run_graph
from quant.testing import prepare_calibrated, random_allocation, random_images
from quant.torch_integer import integer_logits
from tools.integer_share import integer_share

Shapes = dict[str, tuple[int, ...]]


def _tiny_transformer() -> Shapes:
    shapes: Shapes = {
        "cls_token": (1, 1, 192),
        "pos_embed": (1, 197, 192),
        "patch_embed.proj.weight": (192, 3, 16, 16),
        "patch_embed.proj.bias": (192,),
        "norm.weight": (192,),
        "norm.bias": (192,),
        "head.weight": (1000, 192),
        "head.bias": (1000,),
    }
    for block in range(12):
        for name, shape in {
            "norm1.weight": (192,),
            "norm1.bias": (192,),
            "attn.qkv.weight": (576, 192),
            "attn.qkv.bias": (576,),
            "attn.proj.weight": (192, 192),
            "attn.proj.bias": (192,),
            "norm2.weight": (192,),
            "norm2.bias": (192,),
            "mlp.fc1.weight": (768, 192),
            "mlp.fc1.bias": (768,),
            "mlp.fc2.weight": (192, 768),
            "mlp.fc2.bias": (192,),
        }.items():
            shapes[f"blocks.{block}.{name}"] = shape
    return shapes


def _convnext_atto() -> Shapes:
    widths, depths = (40, 80, 160, 320), (2, 2, 6, 2)
    shapes: Shapes = {
        "stem.0.weight": (40, 3, 4, 4),
        "stem.0.bias": (40,),
        "stem.1.weight": (40,),
        "stem.1.bias": (40,),
        "head.norm.weight": (320,),
        "head.norm.bias": (320,),
        "head.fc.weight": (1000, 320),
        "head.fc.bias": (1000,),
    }
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            before = widths[stage - 1]
            shapes |= {
                f"stages.{stage}.downsample.0.weight": (before,),
                f"stages.{stage}.downsample.0.bias": (before,),
                f"stages.{stage}.downsample.1.weight": (width, before, 2, 2),
                f"stages.{stage}.downsample.1.bias": (width,),
            }
        for block in range(depth):
            for name, shape in {
                "gamma": (width,),
                "conv_dw.weight": (width, 1, 7, 7),
                "conv_dw.bias": (width,),
                "norm.weight": (width,),
                "norm.bias": (width,),
                "mlp.fc1.weight": (4 * width, width, 1, 1),
                "mlp.fc1.bias": (4 * width,),
                "mlp.fc2.weight": (width, 4 * width, 1, 1),
                "mlp.fc2.bias": (width,),
            }.items():
                shapes[f"stages.{stage}.blocks.{block}.{name}"] = shape
    return shapes


PUBLISHED = {
    "vit-tiny": (_tiny_transformer, 5_717_416),
    "deit-tiny": (_tiny_transformer, 5_717_416),
    "convnext-atto": (_convnext_atto, 3_695_520),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_those_of_the_published_files(name: str) -> None:
    network = NETWORKS[name](in_channels=3, classes=1000)
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes, count = PUBLISHED[name]
    assert found == shapes()
    assert sum(value.numel() for value in network.parameters()) == count


@pytest.mark.slow  # captures networks for 224x224
@pytest.mark.parametrize(
    ("name", "products", "islands"),
    [
        ("deit-tiny", 0.14, {"layer_norm", "softmax"}),
        ("convnext-atto", 0.0, {"layer_norm"}),
        ("mobilenetv3-small", 0.0, set()),
        ("shufflenetv2", 0.0, set()),
        ("u-net", 0.0, {"upsample_nearest2d"}),
        ("detector", 0.0, {"silu", "upsample_nearest2d"}),
    ],
)
def test_all_multiplications_are_in_integers(name: str, products: float, islands: set[str]) -> None:
    share = integer_share(name)
    assert share.in_integers == pytest.approx(1.0, abs=1e-6)
    assert share.in_products == pytest.approx(products, abs=0.01)
    assert set(share.left) == islands


@pytest.mark.parametrize(("name", "side"), [("vit-micro", 28), ("vit-micro-patch2", 8)])
def test_small_images_of_any_size_are_taken(name: str, side: int) -> None:
    torch.manual_seed(0)
    module = NETWORKS[name](in_channels=1, classes=10).eval()
    graph, _ = capture(module, random_images(1, (1, side, side)))
    assert len(graph.layers) == 2 + 4 * (4 + 2)
    assert len(graph.constants) == 1


@pytest.mark.slow
def test_convnext_is_exact_at_random_bits() -> None:
    torch.manual_seed(0)
    module: Any = NETWORKS["convnext-atto"](in_channels=3, classes=10).eval()
    for name, value in module.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.uniform_(value, 0.1, 1.0)  # at 1e-6 no block would count
    network = prepare_calibrated(module, images := random_images(4, (3, 64, 64)))
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(0)))
    graph = convert(network)
    reference = run_graph(graph, images.numpy())
    np.testing.assert_allclose(integer_logits(graph, images).numpy(), reference, atol=1e-3)


@pytest.mark.slow  # trains a transformer
@pytest.mark.timeout(1800)
def test_a_trained_transformer_is_as_accurate_in_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = load_task(TaskConfig(name="digits", network="vit-micro-patch2", epochs=40))
    module = float_module(task, seed=0)
    network = prepare_calibrated(module, task.train.images[:256])
    network.set_allocation(Allocation.uniform(network.layers, 8))
    images, labels = task.search.images, task.search.labels
    with torch.no_grad():
        floats = module(images)
    integers = integer_logits(convert(network), images)
    shares = [float((logits.argmax(1) == labels).float().mean()) for logits in (floats, integers)]
    assert shares[0] > 0.9
    assert shares[1] > shares[0] - 0.01
    error = (integers - floats).double().square().sum()
    decibels = float(10 * torch.log10(floats.double().square().sum() / error))
    assert decibels > 25, decibels
