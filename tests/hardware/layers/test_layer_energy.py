from dataclasses import replace

import numpy as np
import pytest

from hardware.energy.energy import Energy
from hardware.layers.energy import with_energies
from hardware.layers.table import LayerTable
from hardware.measure_layers import measure_layer_table
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.simulated import SimulatedDevice
from hardware.target import TargetConfig
from quant.allocation import Allocation, LayerBits
from quant.deploy_graph import DeployGraph
from quant.records.json_form import from_plain, to_plain
from tests.hardware.graphs import zoo

CHOICES = (2, 4, 8)
PROTOCOL = ProtocolConfig(repeats=5)
WATTS = {2: 4.0, 4: 5.0, 8: 7.0}


class Bench:
    """A device whose power depends on the weight bits of what runs, by `WATTS`."""

    def __init__(self, table: LayerTable) -> None:
        self._table = table

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        parts_us = {op.layer: (op.weight_bits, op.activation_bits) for op in graph.layer_ops()}
        total_uj = 5.0 * self._table.overhead_us + sum(
            self._table.layer_us(layer, *pair) * WATTS[pair[0]] for layer, pair in parts_us.items()
        )
        total_us = self._table.overhead_us + sum(
            self._table.layer_us(layer, *pair) for layer, pair in parts_us.items()
        )
        return Energy(source="external", what="a bench", blocks_mj=(total_uj / 1000,)), (
            total_us / 1000
        )


def test_the_power_of_kernels_is_told_apart_by_whole_programs() -> None:
    graph = zoo()
    plain = measure_layer_table(SimulatedDevice(PROTOCOL), graph, CHOICES)
    table = with_energies(plain, graph, CHOICES, Bench(plain), programs=9)
    assert table.energy_source == "external"
    assert replace(table, energies_uj={}, overhead_uj=0.0, energy_source="none") == plain
    errors = [
        abs(table.energies_uj[layer][pair] / (time_us * WATTS[pair[0]]) - 1)
        for layer, row in plain.times_us.items()
        for pair, time_us in row.items()
    ]
    # The ridge pulls by a few percent towards the mean; the mean itself would be 30 % off.
    assert np.median(errors) < 0.05
    assert max(errors) < 0.15
    assert from_plain(LayerTable, to_plain(table)) == table


def test_a_table_without_energies_predicts_none() -> None:
    graph = zoo()
    table = measure_layer_table(SimulatedDevice(PROTOCOL), graph, CHOICES)
    both = LayerBits(weight_bits=8, activation_bits=8)
    allocation = Allocation.of({op.layer: both for op in graph.layer_ops()})
    assert table.predict_mj(allocation) is None
    assert table.layer_uj(graph.layer_ops()[0].layer, 8, 8) == 0.0


def test_modelled_watts_give_watts_times_time_everywhere() -> None:
    graph = zoo()
    energy = EnergyConfig(meter="modelled", modelled_w=3.0)
    with open_device(TargetConfig(runner="simulated"), PROTOCOL, energy) as device:
        table = measure_layer_table(device, graph, CHOICES)
        measurement = device.measure(graph).measurement
    assert table.energy_source == "modelled"
    for layer, row in table.times_us.items():
        for pair, time_us in row.items():
            assert table.layer_uj(layer, *pair) == pytest.approx(3.0 * time_us)
    assert table.overhead_uj == pytest.approx(3.0 * table.overhead_us)
    assert measurement is not None
    assert measurement.energy_source == "modelled"
    assert measurement.energy_mj == pytest.approx(3.0 * measurement.median_ms)
    assert from_plain(type(measurement), to_plain(measurement)) == measurement
    halved = table.with_scaled_energies(0.5)
    both = LayerBits(weight_bits=8, activation_bits=8)
    allocation = Allocation.of({op.layer: both for op in graph.layer_ops()})
    whole = table.predict_mj(allocation)
    assert whole is not None
    assert halved.predict_mj(allocation) == pytest.approx(whole / 2)
