"""A narrow digits network on the simulated device: real parts, small enough for every test."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from env.tasks import Task, float_module
from env.tasks.data_sets.digits import digits_task
from env.tasks.networks.digits_net import DigitsNet
from hardware.layers.table import LayerTable
from hardware.measure_layers import measure_layer_table
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.convert import convert
from quant.network import QuantizedNetwork, prepare
from quant.retraining.float_training import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallDigits:
    task: Task
    network: QuantizedNetwork
    """Calibrated, at the float checkpoint; tests take a clone."""
    device: SimulatedDevice
    table: LayerTable


@pytest.fixture(scope="session")
def small_task() -> Task:
    return replace(
        digits_task(),
        name="small-digits",
        make_module=lambda: DigitsNet((4, 8, 8, 12)),
        recipe=TrainConfig(epochs=3, batch_size=64, learning_rate=0.1),
    )


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small_digits(small_task: Task, cache_folder: None) -> SmallDigits:
    torch.set_num_threads(1)
    network = prepare(float_module(small_task, 0), small_task.example)
    network.calibrate(small_task.train.images[:64])
    network.set_allocation(Allocation.uniform(network.layers, 8))
    device = SimulatedDevice(ProtocolConfig(repeats=5))
    table = measure_layer_table(device, convert(network), range(2, 9))
    return SmallDigits(task=small_task, network=network, device=device, table=table)
