"""Every network that a configuration can name: random allocations compile and agree to the bit."""

from collections.abc import Iterator

import pytest
import torch

from env.tasks.networks.catalogue import NETWORKS
from env.tasks.networks.cifar_resnet import cifar_resnet
from hardware.host.local.device import LocalDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from quant.testing import prepare_calibrated, random_images, shake_batch_norm
from tests.env.agreement import check_random_allocations

SIZES = {
    "digits": (1, 8, 8),
    "digits-even": (1, 8, 8),
    "conv1d": (1, 40),
    "depthwise": (1, 28, 28),
    "resnet8": (1, 28, 28),
    "resnet8-stride2": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "resnet56": (3, 32, 32),
}
IMAGE_NET = (3, 224, 224)
ELSEWHERE = (
    *("vit-tiny", "deit-tiny", "convnext-atto", "vit-micro", "vit-micro-patch2"),
    *("mobilevit-xxs", "text-encoder", "mlperf-resnet8", "mlperf-ds-cnn", "mlperf-mobilenet"),
    "mlperf-autoencoder",
)
"""test_transformers.py and test_mlperf_tiny.py look at those, in the references alone."""
ALLOCATIONS = 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def device() -> Iterator[LocalDevice]:
    with LocalDevice(TargetConfig(tune_s=0.0), ProtocolConfig(timeout_s=900.0)) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ELSEWHERE])
def test_random_allocations_compile_and_agree(name: str, device: LocalDevice) -> None:
    torch.manual_seed(0)
    shape = SIZES.get(name, IMAGE_NET)
    module = NETWORKS[name](in_channels=shape[0], classes=10).eval()
    shake_batch_norm(module)
    network = prepare_calibrated(module, random_images(4, shape, seed=3))
    assert not network.graph.islands, [island.reason for island in network.graph.islands]
    check_random_allocations(network, random_images(1, shape, seed=1), device, ALLOCATIONS)


def test_shortcuts_without_weights_are_islands_that_agree(device: LocalDevice) -> None:
    torch.manual_seed(0)
    module = cifar_resnet(20, shortcut="zeros").eval()
    shake_batch_norm(module)
    network = prepare_calibrated(module, random_images(4, (3, 32, 32), seed=3))
    assert [island.operators for island in network.graph.islands] == [("pad",)] * 2
    assert len(network.layers) == 20
    check_random_allocations(network, random_images(1, (3, 32, 32), seed=1), device, ALLOCATIONS)
