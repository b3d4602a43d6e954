import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardware.graph.random_codes import with_random_codes
from hardware.layers.timing import bit_pairs
from hardware.measure_layers import measure_layer_table
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.simulated import SimulatedDevice, simulated_layer_us
from hardware.target import TargetConfig
from quant.allocation import Allocation, LayerBits
from tests.hardware.device_contract import DeviceContract
from tests.hardware.graphs import digits_like

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = ProtocolConfig()

PRINT_VALUES = """
import json
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from tests.hardware.device_contract import DeviceContract
from tests.hardware.graphs import digits_like
result = SimulatedDevice(ProtocolConfig()).measure(digits_like((8, 7, 6, 4, 3)))
print(json.dumps(result.measurement.values_ms))
"""


@pytest.fixture
def device() -> SimulatedDevice:
    return SimulatedDevice(PROTOCOL)


another = device


class TestSimulatedDevice(DeviceContract):
    source = "simulated"


def test_open_device_opens_it_and_everything_says_simulated() -> None:
    with open_device(TargetConfig(runner="simulated"), PROTOCOL) as device:
        result = device.measure(digits_like())
        assert result.measurement is not None
        assert {device.source, device.name, result.measurement.source} == {"simulated"}
        assert result.measurement.device == "simulated"
        assert measure_layer_table(device, digits_like(), (4, 8)).source == "simulated"


def test_values_are_bit_identical_in_another_process() -> None:
    here = SimulatedDevice(PROTOCOL).measure(digits_like((8, 7, 6, 4, 3), seed=9))
    there = subprocess.run(
        [sys.executable, "-c", PRINT_VALUES], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert here.measurement is not None
    assert tuple(json.loads(there.stdout)) == here.measurement.values_ms


def test_other_bits_give_other_values() -> None:
    device = SimulatedDevice(PROTOCOL)
    eight, seven = device.measure(digits_like()), device.measure(digits_like((8, 8, 8, 8, 7)))
    assert eight.measurement is not None
    assert seven.measurement is not None
    assert set(eight.measurement.values_ms).isdisjoint(seven.measurement.values_ms)
    assert seven.measurement.median_ms < eight.measurement.median_ms


def test_the_formula_falls_with_the_bits() -> None:
    times = [simulated_layer_us(1_000_000, bits, bits) for bits in range(2, 9)]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_the_layer_table_predicts_the_measurement() -> None:
    device, graph, choices = SimulatedDevice(PROTOCOL), digits_like(), (2, 4, 6, 7, 8)
    table = measure_layer_table(device, graph, choices)
    rng = np.random.default_rng(0)
    for seed in range(10):
        chosen = {
            layer: pairs[rng.integers(len(pairs))]
            for layer, pairs in bit_pairs(graph, choices).items()
        }
        allocation = Allocation.of(
            {name: LayerBits(weight_bits=w, activation_bits=a) for name, (w, a) in chosen.items()}
        )
        measured = device.measure(with_random_codes(graph, chosen, seed)).measurement
        assert measured is not None
        assert table.predict_ms(allocation) == pytest.approx(measured.median_ms, rel=0.01)
