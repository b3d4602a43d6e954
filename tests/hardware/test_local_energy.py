"""LocalDevice with an external meter: `date` as a counter of joules stands for a meter of 1 W."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.energy_config import EnergyConfig
from hardware.errors import TargetError
from hardware.local import LocalDevice
from hardware.open_device import open_device
from hardware.protocol import ProtocolConfig
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like

ONE_WATT = "date '+%s.%N J'"
PROTOCOL = ProtocolConfig(warmups=1, repeats=5, min_repeat_ms=1.0)


@pytest.fixture(scope="module")
def device(kernel_folder: Path) -> Iterator[LocalDevice]:
    target = TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0)
    energy = EnergyConfig(
        meter="external",
        command=ONE_WATT,
        interval_s=0.01,
        window_s=0.3,
        idle_s=0.1,
        layer_programs=2,
    )
    with open_device(target, PROTOCOL, energy) as opened:
        assert isinstance(opened, LocalDevice)
        yield opened


def test_a_program_on_this_machine_is_metered(device: LocalDevice) -> None:
    facts = device.facts()["energy"]
    assert facts["energy_source"] == "external"
    assert facts["meter"] == ONE_WATT
    result = device.measure(digits_like())
    assert result.error == ""
    assert result.measurement is not None
    found = result.measurement.energy
    assert found is not None
    # One watt, whatever runs; reading the meter takes a few ms of each block of 60 ms or more.
    per_execution_ms = 1000.0 * found.window_s / found.loops
    assert found.gross_mj == pytest.approx(per_execution_ms, rel=0.3)
    assert found.idle_w == pytest.approx(1.0, rel=0.3)
    assert found.net_mj is not None
    assert abs(found.net_mj) < 0.5 * found.gross_mj
    assert result.measurement.energy_source == "external"


def test_the_layer_table_has_energies_of_measured_windows(device: LocalDevice) -> None:
    table = device.layer_table(digits_like(), (8,), equal_bits=True)
    assert table.energy_source == "external"
    for layer, row in table.times_us.items():
        for pair, time_us in row.items():
            assert table.layer_uj(layer, *pair) == pytest.approx(time_us, rel=0.3)


def test_a_meter_that_is_not_there_is_refused_before_anything_runs() -> None:
    energy = EnergyConfig(meter="external", command="/nothing/here")
    with pytest.raises(TargetError, match=r"energy.meter: external: .*nothing"):
        open_device(TargetConfig(), PROTOCOL, energy)
