"""One arithmetic: torch on codes, the numpy reference and the compiled kernels, to the bit."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from env.tasks.networks.digits_net import DigitsNet
from hardware.host.local.device import LocalDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from quant.testing import (
    TinyBranchNet,
    TinyGatedNet,
    TinyResidualNet,
    prepare_calibrated,
    random_images,
    shake_batch_norm,
)
from tests.env.agreement import check_random_allocations

ALLOCATIONS = 30
FEWER = 10
NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, int, int], int]] = {
    "digits": (DigitsNet, (1, 8, 8), ALLOCATIONS),
    "residual": (TinyResidualNet, (1, 8, 8), ALLOCATIONS),
    "branches": (TinyBranchNet, (3, 10, 12), ALLOCATIONS),
    "gates": (TinyGatedNet, (3, 7, 9), FEWER),
}


@pytest.fixture(scope="module", params=["auto", "generic"])
def device(request: pytest.FixtureRequest) -> Iterator[LocalDevice]:
    target = TargetConfig(family=request.param)
    with LocalDevice(target, ProtocolConfig(batch=4)) as opened:
        yield opened


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_torch_and_numpy_agree_on_every_logit(name: str, device: LocalDevice) -> None:
    make, shape, allocations = NETWORKS[name]
    torch.manual_seed(0)
    module = make()
    shake_batch_norm(module)
    network = prepare_calibrated(module.eval(), random_images(64, shape, seed=3))
    check_random_allocations(network, random_images(8, shape, seed=1), device, allocations)
