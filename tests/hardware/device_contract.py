"""What every device promises, whoever computes its numbers; each one's tests inherit it.

A test file has a fixture `device`, which its tests share, and a fixture `another`, which is a new
device for each test that closes one.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from hardware.closing import Closing
from hardware.device import Device
from hardware.errors import BuildError
from hardware.graph.agreement import fixed_input
from hardware.layers.table import LayerTable
from hardware.layers.timing import bit_pairs
from hardware.measure_layers import choose_tiles, digest_tiles, measure_layer_table
from hardware.measuring.measurement import Measurement
from quant.deploy_graph import Conv2d, DeployGraph
from quant.integer import run_graph
from quant.records.json_form import from_plain, to_plain
from tests.hardware.graphs import digits_like, zoo


class DeviceContract:
    """Promises of every device."""

    source = "measured"
    """Where its numbers come from."""

    def test_it_says_what_it_is(self, device: Device) -> None:
        assert device.source == self.source
        assert device.name
        assert device.parallel >= 1
        assert json.loads(json.dumps(device.facts())) == device.facts()

    def test_an_identity_is_json_of_a_program_without_its_values(self, device: Device) -> None:
        identity = device.identity(digits_like(seed=0))
        assert json.dumps(identity) == json.dumps(device.identity(digits_like(seed=1)))
        assert identity != device.identity(zoo())

    def test_a_measurement_says_what_where_and_how(self, device: Device) -> None:
        result = device.measure(digits_like())
        measurement = result.measurement
        assert result.error == ""
        assert measurement is not None
        assert measurement.source == self.source
        assert measurement.device == device.name
        assert min(measurement.values_ms) > 0
        assert len(measurement.values_ms) >= measurement.protocol.repeats
        assert device.facts().items() <= measurement.facts.items()
        document = json.loads(json.dumps(to_plain(measurement)))
        assert from_plain(Measurement, document) == measurement

    def test_run_agrees_to_the_bit(self, device: Device) -> None:
        for graph in (zoo(0), digits_like()):
            x = fixed_input(graph, 5)
            assert np.array_equal(device.run(graph, x), run_graph(graph, x))
        x = np.random.default_rng(0).standard_normal((5, 3, 9, 9)).astype(np.float32)
        assert np.array_equal(device.run(zoo(), x), run_graph(zoo(), x))

    def test_the_layer_table_has_every_layer_at_every_pair(self, device: Device) -> None:
        graph = digits_like()
        seen: list[tuple[int, int]] = []
        table = measure_layer_table(
            device, graph, (4, 8), lambda done, total, what: seen.append((done, total))
        )
        assert table.source == self.source
        assert {layer: set(row) for layer, row in table.times_us.items()} == {
            layer: set(pairs) for layer, pairs in bit_pairs(graph, (4, 8)).items()
        }
        assert all(time > 0 for row in table.times_us.values() for time in row.values())
        assert table.families.keys() == table.times_us.keys()
        for layer, row in table.times_us.items():
            assert table.families[layer].keys() == row.keys()
        done, totals = [done for done, _ in seen], [total for _, total in seen]
        assert done[-1] == totals[-1]
        assert done == sorted(set(done))
        assert totals == sorted(totals)  # a busy machine makes further rounds necessary
        assert from_plain(LayerTable, to_plain(table)) == table
        equal = measure_layer_table(device, graph, (8,), equal_bits=True)
        assert {pair for row in equal.times_us.values() for pair in row} == {(8, 8)}

    def test_tiles_are_chosen_or_it_says_why_not(self, device: Device) -> None:
        graph = digits_like()
        report = choose_tiles(device, graph, (8,))
        assert bool(report.why_none) != bool(report.searched + report.known + report.left)
        assert not report.failed
        assert report.sentence.startswith("tiles: ")
        assert digest_tiles(device, graph, (8,)) == digest_tiles(device, graph, (8,))

    def test_it_can_be_closed_twice_and_before_it_was_used(self, another: Device) -> None:
        another.close()
        another.close()

    def test_it_closes_itself_at_the_end_of_a_block(self, another: Device) -> None:
        assert isinstance(another, Closing)
        with another as opened:
            assert opened is another


class WorkerDeviceContract(DeviceContract):
    """Promises of devices that compile and run programs."""

    def test_a_measurement_has_families_moments_and_the_ruler(self, device: Device) -> None:
        result = device.measure(digits_like())
        assert result.measurement is not None
        assert result.build_s > 0
        assert result.measure_s > 0
        facts = result.measurement.facts
        assert set(facts["families"]) == {op.layer for op in digits_like().layer_ops()}
        assert facts["before"]["load_1min"] >= 0
        assert facts["after"]["load_1min"] >= 0
        assert facts["ruler"]["before_us"] > 0
        assert facts["ruler"]["slowdown"] > 0
        for name in ("cpu", "kernel", "tvm", "tvm_ffi", "llvm", "target"):
            assert dict(facts)[name], name

    def test_a_candidate_that_cannot_be_built_is_a_value(self, device: Device) -> None:
        result = device.measure(_without_stride(digits_like()))
        assert result.measurement is None
        assert result.error
        with pytest.raises(BuildError):
            device.run(_without_stride(digits_like()), fixed_input(digits_like(), 1))
        with pytest.raises(BuildError, match="digits-like has no layer table"):
            measure_layer_table(device, _without_stride(digits_like()), (8,), equal_bits=True)
        assert device.measure(digits_like()).error == ""

    def test_a_run_that_fails_raises(self, device: Device) -> None:
        with pytest.raises(BuildError, match="zoo cannot be run"):
            device.run(zoo(), np.zeros((1, 3, 9, 8), np.float32))


def _without_stride(graph: DeployGraph) -> DeployGraph:
    """Return a graph with a layer that no kernel computes: its windows do not move."""
    first = graph.layer_ops()[0]
    assert isinstance(first, Conv2d)
    broken = replace(first, stride=(0, 0))
    return replace(graph, ops=tuple(broken if op is first else op for op in graph.ops))
