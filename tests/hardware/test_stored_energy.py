from dataclasses import replace
from pathlib import Path

import pytest

from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from hardware.stored_device import StoredDevice
from quant.deploy_graph import DeployGraph
from tests.hardware.graphs import digits_like

PROTOCOL = ProtocolConfig(repeats=5)
STEADY, SHAKY = (1.0, 1.01, 0.99, 1.0, 1.0), (1.0, 2.0, 1.0, 3.0, 1.0)


class MeteredDevice(SimulatedDevice):
    """A simulated device whose meter gives the same blocks for everything."""

    def __init__(self, blocks_mj: tuple[float, ...], watts: float = 1.0) -> None:
        super().__init__(PROTOCOL, open_gauge(EnergyConfig(meter="modelled", modelled_w=watts)))
        self.measured = 0
        self._blocks_mj = blocks_mj

    def measure(self, graph: DeployGraph) -> MeasureResult:
        self.measured += 1
        result = super().measure(graph)
        assert result.measurement is not None
        energy = Energy(source="rapl", what="package-0", blocks_mj=self._blocks_mj, idle_w=0.5)
        return replace(result, measurement=replace(result.measurement, energy=energy))


def measure_twice(path: Path, first: MeteredDevice, second: MeteredDevice) -> MeasureResult:
    with Store(path / "store.sqlite") as store:
        StoredDevice(first, store, PROTOCOL).measure(digits_like())
        return StoredDevice(second, store, PROTOCOL).measure(digits_like())


def test_a_stored_measurement_keeps_its_energy(tmp_path: Path) -> None:
    found = measure_twice(tmp_path, MeteredDevice(STEADY), MeteredDevice(STEADY))
    assert found.cached
    assert found.measurement is not None
    assert found.measurement.energy_source == "rapl"
    assert found.measurement.energy_mj == pytest.approx(1.0)


def test_an_unstable_energy_is_measured_again(tmp_path: Path) -> None:
    assert not measure_twice(tmp_path, MeteredDevice(SHAKY), MeteredDevice(STEADY)).cached


def test_another_meter_is_another_machine(tmp_path: Path) -> None:
    again = MeteredDevice(STEADY, watts=2.0)
    assert not measure_twice(tmp_path, MeteredDevice(STEADY), again).cached
    assert again.measured == 1
