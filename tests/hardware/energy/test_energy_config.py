from pathlib import Path
from typing import Any

import pytest

from hardware.errors import HardwareLostError, TargetError
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.target import TargetConfig
from tests.hardware.energy.sensor_trees import rapl_tree, set_rapl


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"meter": "external"}, "one of energy.command and energy.csv, found neither"),
        ({"meter": "external", "command": "a", "csv": "b"}, "found command and csv"),
        ({"command": "a"}, "energy.command describes an external meter.*--energy.meter external"),
        ({"meter": "modelled"}, "named together.*--energy.modelled-w 3.5"),
        ({"meter": "auto", "modelled_w": 2.0}, "named together, found energy.meter auto"),
        ({"window_s": 0.0}, "energy.window_s: expected at least 0.001, found 0"),
        ({"layer_programs": 0}, "energy.layer_programs: expected at least 1"),
    ],
)
def test_half_a_description_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        EnergyConfig(**settings)


def test_a_setting_that_needs_energies_says_what_to_connect() -> None:
    EnergyConfig(meter="auto").require("budget.energy_mj")
    with pytest.raises(TargetError, match=r"budget.energy_mj needs .*RAPL, a Jetson .*modelled"):
        EnergyConfig().require("budget.energy_mj")


def test_no_meter_is_no_gauge_and_a_missing_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_gauge(EnergyConfig()) is None
    with pytest.raises(TargetError, match=r"energy.meter: auto: found no energy meter"):
        open_gauge(EnergyConfig(meter="auto"), tmp_path)
    with pytest.raises(TargetError, match=r"energy.meter: rapl: no RAPL zone"):
        open_gauge(EnergyConfig(meter="rapl"), tmp_path)


def test_a_meter_that_is_lost_later_stops_the_run_and_not_the_candidate(tmp_path: Path) -> None:
    rapl_tree(tmp_path, {0: 1})
    gauge = open_gauge(EnergyConfig(meter="auto", window_s=0.05, idle_s=0.01), tmp_path)
    assert gauge is not None
    assert gauge.facts()["energy_source"] == "rapl"
    moving = iter(range(10**6, 10**9, 10**6))
    energy = gauge.measure(lambda loops: set_rapl(tmp_path, 0, next(moving)), one_ms=1.0)
    assert energy.gross_mj == pytest.approx(1000 / (energy.loops / 5), rel=1e-3)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    with pytest.raises(HardwareLostError, match="energy_uj"):
        gauge.measure(lambda loops: None, one_ms=1.0)


def test_a_simulated_device_has_nothing_to_meter() -> None:
    target, protocol = TargetConfig(runner="simulated"), ProtocolConfig()
    with pytest.raises(TargetError, match="expected none or modelled for a simulated device"):
        open_device(target, protocol, EnergyConfig(meter="rapl"))
    energy = EnergyConfig(meter="modelled", modelled_w=2.0)
    with open_device(target, protocol, energy) as device:
        assert device.facts()["energy"] == {"energy_source": "modelled", "watts": 2.0}
