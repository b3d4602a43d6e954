"""LocalDevice with an external meter whose reading depends on what the worker process does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.errors import TargetError
from hardware.host.local.device import LocalDevice
from hardware.measure_layers import measure_layer_table
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like

PROTOCOL = ProtocolConfig(warmups=1, repeats=5, min_repeat_ms=1.0)
IDLE_W, BUSY_W = 1.0, 4.0
METER = f"""\
up=$(cut -d' ' -f1 /proc/uptime)
cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent={os.getpid()} -v up="$up" '
  $4 == parent {{ ticks += $14 + $15 }}
  END {{ printf "%.3f J\\n", {IDLE_W} * up + {BUSY_W} * ticks / 100 }}'
"""
"""A counter of joules: 1 W always, and 4 W while a child of this process uses a core. Whatever else
runs on the machine does not count."""


@pytest.fixture(scope="module")
def device(kernel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDevice]:
    script = tmp_path_factory.mktemp("meter") / "meter.sh"
    script.write_text(METER)
    target = TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0)
    energy = EnergyConfig(
        meter="external",
        command=f"sh {script}",
        interval_s=0.01,
        window_s=0.6,
        idle_s=0.4,
        layer_programs=2,
    )
    with open_device(target, PROTOCOL, energy) as opened:
        assert isinstance(opened, LocalDevice)
        yield opened


def test_a_program_on_this_machine_is_metered(device: LocalDevice) -> None:
    facts = device.facts()["energy"]
    assert facts["energy_source"] == "external"
    result = device.measure(digits_like())
    assert result.error == ""
    assert result.measurement is not None
    found = result.measurement.energy
    assert found is not None
    assert found.idle_w == pytest.approx(IDLE_W, rel=0.2)
    watts = found.gross_mj * found.loops / found.window_s / 1000.0
    # A busy machine gives the worker less than a whole core.
    assert 1.3 * IDLE_W < watts < 1.2 * (IDLE_W + BUSY_W)
    assert found.net_mj is not None
    assert found.idle_w is not None
    net_watts = found.net_mj * found.loops / found.window_s / 1000.0
    assert net_watts == pytest.approx(watts - found.idle_w)
    assert result.measurement.energy_source == "external"


def test_the_layer_table_has_energies_of_measured_windows(device: LocalDevice) -> None:
    table = measure_layer_table(device, digits_like(), (8,), equal_bits=True)
    assert table.energy_source == "external"
    for layer, row in table.times_us.items():
        for pair, time_us in row.items():
            watts = table.layer_uj(layer, *pair) / time_us
            assert 1.2 * IDLE_W < watts < 1.3 * (IDLE_W + BUSY_W)


def test_a_meter_that_is_not_there_is_refused_before_anything_runs() -> None:
    energy = EnergyConfig(meter="external", command="/nothing/here")
    with pytest.raises(TargetError, match=r"energy.meter: external: .*nothing"):
        open_device(TargetConfig(), PROTOCOL, energy)
