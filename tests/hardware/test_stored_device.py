from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.device import MeasureResult
from hardware.errors import BuildError, UnbelievableError
from hardware.facts import MeasurementFacts
from hardware.layers.table import LayerTable
from hardware.measure_layers import choose_tiles
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from hardware.stored_device import StoredDevice
from hardware.tile_search.report import TileReport
from quant.deploy_graph import DeployGraph
from quant.records.json_form import from_plain, to_plain
from tests.hardware.device_contract import DeviceContract
from tests.hardware.graphs import digits_like

PROTOCOL = ProtocolConfig()


class CountingDevice(SimulatedDevice):
    """A simulated device that counts, and can be made unstable or another machine."""

    def __init__(self, *, unstable: bool = False, cpu: str = "simulated") -> None:
        super().__init__(PROTOCOL)
        self.measured = 0
        self.unstable = unstable
        self.cpu = cpu

    def facts(self) -> MeasurementFacts:
        return {**super().facts(), "cpu": self.cpu}

    def measure(self, graph: DeployGraph) -> MeasureResult:
        self.measured += 1
        result = super().measure(graph)
        if not self.unstable:
            return result
        assert result.measurement is not None
        return replace(result, measurement=replace(result.measurement, values_ms=(1.0, 2.0) * 10))


def stored(device: CountingDevice, path: Path, protocol: ProtocolConfig = PROTOCOL) -> StoredDevice:
    return StoredDevice(device, Store(path / "store.sqlite"), protocol)


@pytest.fixture
def device(tmp_path: Path) -> StoredDevice:
    return stored(CountingDevice(), tmp_path)


another = device


class TestStoredDevice(DeviceContract):
    source = "simulated"


def test_a_candidate_without_kernels_is_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(self: CountingDevice, graph: DeployGraph) -> Any:
        raise BuildError("no kernel computes layer1")

    monkeypatch.setattr(CountingDevice, "identity", identity)
    result = stored(CountingDevice(), tmp_path).measure(digits_like())
    assert (result.measurement, result.error) == (None, "no kernel computes layer1")


def test_an_equal_program_is_measured_once_across_runs(tmp_path: Path) -> None:
    graph, first, second = digits_like(), CountingDevice(), CountingDevice()
    fresh = stored(first, tmp_path).measure(graph)
    again = stored(second, tmp_path).measure(graph)
    assert (first.measured, second.measured) == (1, 0)
    assert (fresh.cached, again.cached) == (False, True)
    assert again.measurement == fresh.measurement


def test_another_machine_or_protocol_is_measured_again(tmp_path: Path) -> None:
    graph = digits_like()
    stored(CountingDevice(), tmp_path).measure(graph)
    other = CountingDevice(cpu="another")
    assert not stored(other, tmp_path).measure(graph).cached
    longer = CountingDevice()
    assert not stored(longer, tmp_path, ProtocolConfig(repeats=30)).measure(graph).cached


def test_an_unstable_measurement_is_not_kept(tmp_path: Path) -> None:
    graph, device = digits_like(), CountingDevice(unstable=True)
    device_with_store = stored(device, tmp_path)
    device_with_store.measure(graph)
    device_with_store.measure(graph)
    assert device.measured == 2


def test_a_layer_table_comes_back_equal(tmp_path: Path) -> None:
    graph = digits_like()
    first = stored(CountingDevice(), tmp_path).layer_table(graph, (4, 8))
    calls: list[str] = []
    again = stored(CountingDevice(), tmp_path).layer_table(
        graph, (4, 8), lambda done, total, what: calls.append(what)
    )
    assert again == first
    assert not calls
    stored(CountingDevice(), tmp_path).layer_table(
        graph, (2, 8), lambda done, total, what: calls.append(what)
    )
    assert calls


def test_a_table_of_equal_bits_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    graph = digits_like()
    equal = stored(CountingDevice(), tmp_path).layer_table(graph, (4, 8), equal_bits=True)
    whole = stored(CountingDevice(), tmp_path).layer_table(graph, (4, 8))
    assert len(equal.times_us["layer2"]) == 2
    assert len(whole.times_us["layer2"]) == 4
    assert stored(CountingDevice(), tmp_path).layer_table(graph, (4, 8), equal_bits=True) == equal


def test_the_layer_table_document_is_read_back() -> None:
    table = LayerTable(
        times_us={"a": {(2, 8): 1.5, (8, 8): 3.0}},
        overhead_us=0.5,
        source="measured",
        disturbed_share=0.1,
    )
    assert from_plain(LayerTable, to_plain(table)) == table
    with pytest.raises(ValueError, match="Field required"):
        from_plain(LayerTable, {})


class TunedDevice(CountingDevice):
    """A counting device whose layers have other tiles once it is tuned."""

    tuned = False

    def search_tiles(self, *arguments: Any, **options: Any) -> TileReport:
        self.tuned = True
        return TileReport(searched=1, changed=1)

    def tiles(self, *arguments: Any, **options: Any) -> str:
        return "tuned" if self.tuned else "default"

    def time_layers(self, *arguments: Any, **options: Any) -> LayerTable:
        self.measured += 1
        return super().time_layers(*arguments, **options)


def test_a_layer_table_of_other_tiles_is_measured_again(tmp_path: Path) -> None:
    device = TunedDevice()
    wrapped, graph = stored(device, tmp_path), digits_like()
    wrapped.layer_table(graph, [2, 8])
    assert choose_tiles(wrapped, graph, [2, 8]).changed == 1
    wrapped.layer_table(graph, [2, 8])
    wrapped.layer_table(graph, [2, 8])
    assert device.measured == 2


class SlippingDevice(CountingDevice):
    """Its clock is wrong by a factor in its first measurements."""

    def __init__(self, factor: float, slips: int) -> None:
        super().__init__()
        self.factor, self.slips = factor, slips

    def measure(self, graph: DeployGraph) -> MeasureResult:
        result = super().measure(graph)
        assert result.measurement is not None
        if self.measured > self.slips:
            return result
        values = tuple(self.factor * value for value in result.measurement.values_ms)
        return replace(result, measurement=replace(result.measurement, values_ms=values))


def beside_table(device: CountingDevice, path: Path) -> StoredDevice:
    table = CountingDevice().time_layers(digits_like(), (2, 4, 8))
    return StoredDevice(device, Store(path / "store.sqlite"), PROTOCOL, table)


@pytest.mark.parametrize("factor", [1 / 50, 50])
def test_what_no_table_expects_is_measured_once_more(tmp_path: Path, factor: float) -> None:
    slipping = SlippingDevice(factor, slips=1)
    result = beside_table(slipping, tmp_path).measure(digits_like())
    assert slipping.measured == 2
    assert result.measurement is not None
    true = CountingDevice().measure(digits_like()).measurement
    assert true is not None
    assert result.measurement.median_ms == true.median_ms


@pytest.mark.parametrize("factor", [1 / 50, 50])
def test_twice_what_no_table_expects_is_a_clock_not_to_be_believed(
    tmp_path: Path, factor: float
) -> None:
    with pytest.raises(UnbelievableError, match="by the layer table, found"):
        beside_table(SlippingDevice(factor, slips=2), tmp_path).measure(digits_like())


def test_what_a_store_has_is_held_against_the_table_too(tmp_path: Path) -> None:
    stored(SlippingDevice(50, slips=1), tmp_path).measure(digits_like())  # kept: no table was there
    device = CountingDevice()
    assert not beside_table(device, tmp_path).measure(digits_like()).cached
    assert device.measured == 1
    assert beside_table(device, tmp_path).measure(digits_like()).cached


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_times_that_are_none_are_no_measurement(value: float) -> None:
    true = CountingDevice().measure(digits_like()).measurement
    assert true is not None
    with pytest.raises(ValueError, match="expected times above 0, found"):
        replace(true, values_ms=(1.0, value))
    table = CountingDevice().time_layers(digits_like(), (8,))
    if value != value or value > 1:
        with pytest.raises(ValueError, match="overhead_us: expected a finite number"):
            replace(table, overhead_us=value)
