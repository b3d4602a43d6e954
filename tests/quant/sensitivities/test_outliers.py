"""What is out of all proportion is named, with its channel or its image."""

import torch
from torch import nn

from quant.network import QuantizedNetwork
from quant.sensitivities.outliers import find_outliers
from quant.testing import prepare_calibrated


def network_and_images() -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    return module.eval(), torch.randn(32, 1, 8, 8)


def test_a_sound_network_has_none(network: QuantizedNetwork) -> None:
    module, images = network_and_images()
    assert find_outliers(prepare_calibrated(module, images), images) == ()


def test_a_channel_is_named() -> None:
    module, images = network_and_images()
    with torch.no_grad():
        next(module.parameters())[5] = 1e6
    (found,) = find_outliers(prepare_calibrated(module, images), images)
    assert found.what == "channel 5 of the output of 0"
    assert found.reach > 1e5
    assert "few codes are left for the others" in str(found)


def test_an_input_is_named() -> None:
    module, images = network_and_images()
    images[7, 0, 3, 3] = 1e6
    (found,) = find_outliers(prepare_calibrated(module, images), images)
    assert found.what == "input 7 of those calibrated on"
    assert found.reach == 1e6
