from pathlib import Path

import pytest

from hardware.energy.errors import MeterError
from hardware.energy.ina3221 import Ina3221Meter
from hardware.energy.open_meter import open_meter
from hardware.energy.pmic import PmicMeter, rail_watts
from hardware.energy.window import WindowPlan, measure_energy
from tests.hardware.energy.sensor_trees import PMIC_TEXT, hwmon_tree, iio_tree, write

ORIN_NANO = {"VDD_IN": (5072, 1104), "VDD_CPU_GPU_CV": (5072, 320), "VDD_SOC": (5072, 312)}
AGX_ORIN = {"VDD_GPU_SOC": (19000, 100), "VDD_CPU_CV": (19000, 50), "VIN_SYS_5V0": (5000, 400)}
NANO = {"POM_5V_IN": (5048, 400), "POM_5V_GPU": (5048, 40), "POM_5V_CPU": (5048, 80)}


def watts(meter: Ina3221Meter) -> float:
    """Read a meter through its interface."""
    with meter.record() as recording:
        recording.span(lambda: None)
        (span,) = recording.spans()
    return span.joules / span.seconds


def test_newer_jetpack_has_the_board_on_one_rail(tmp_path: Path) -> None:
    hwmon_tree(tmp_path, ORIN_NANO)
    meter = Ina3221Meter(tmp_path)
    assert meter.what == "VDD_IN"
    assert watts(meter) == pytest.approx(5.072 * 1.104)
    assert open_meter("ina3221", root=tmp_path).source == "ina3221"


def test_without_such_a_rail_all_rails_of_all_chips_are_added(tmp_path: Path) -> None:
    hwmon_tree(tmp_path, AGX_ORIN)
    hwmon_tree(tmp_path, {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 100)}, chip="1-0041")
    meter = Ina3221Meter(tmp_path)
    assert meter.what == "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 + VDDQ_VDD2_1V8AO"
    assert watts(meter) == pytest.approx(1.9 + 0.95 + 2.0 + 0.5)


@pytest.mark.parametrize("power", [True, False], ids=["power file", "voltage and current"])
def test_older_jetpack_has_another_layout(tmp_path: Path, power: bool) -> None:
    iio_tree(tmp_path, NANO, power=power)
    meter = Ina3221Meter(tmp_path)
    assert meter.what == "POM_5V_IN"
    assert watts(meter) == pytest.approx(5.048 * 0.4, abs=1e-3)


def test_a_missing_or_damaged_monitor_is_said(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"no INA3221 under .*Jetson"):
        Ina3221Meter(tmp_path)
    hwmon_tree(tmp_path, ORIN_NANO)
    write(tmp_path, {"sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_input": "not a number"})
    with pytest.raises(MeterError, match=r"expected a number in .*in1_input"):
        Ina3221Meter(tmp_path)


def test_a_sensor_that_vanishes_during_the_work_is_an_error_and_not_a_number(
    tmp_path: Path,
) -> None:
    hwmon_tree(tmp_path, ORIN_NANO)
    meter = Ina3221Meter(tmp_path)
    label = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr1_input"
    with pytest.raises(MeterError, match="curr1_input"):
        measure_energy(
            meter,
            lambda loops: label.unlink(missing_ok=True),
            one_s=0.01,
            plan=WindowPlan(window_s=0.1, idle_s=0.05),
        )


def test_the_pmic_adds_the_rails_that_have_both_values() -> None:
    rails = rail_watts(PMIC_TEXT)
    assert len(rails) == 12
    assert "EXT5V" not in rails
    assert rails["VDD_CORE"] == pytest.approx(1.54489 * 0.8872518)


def script(folder: Path, body: str) -> tuple[str, ...]:
    """Return a command that behaves like vcgencmd."""
    (folder / "vcgencmd").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "vcgencmd").chmod(0o755)
    return (str(folder / "vcgencmd"), "pmic_read_adc")


def test_the_pmic_is_read_through_its_command(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(PMIC_TEXT)
    meter = PmicMeter(script(tmp_path, f"cat {tmp_path / 'text'}"))
    assert meter.what.startswith("12 rails")
    with meter.record() as recording:
        recording.span(lambda: None)
        (span,) = recording.spans()
    assert span.joules / span.seconds == pytest.approx(sum(rail_watts(PMIC_TEXT).values()))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('echo "error=1 error_msg=\\"Command not registered\\""', "tells no currents.*Pi 4"),
        ('echo "Can\'t open device file: /dev/vcio" >&2; exit 255', "group.*video"),
    ],
    ids=["older board", "no permission"],
)
def test_the_pmic_says_what_is_missing(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(MeterError, match=said):
        PmicMeter(script(tmp_path, body))
    with pytest.raises(MeterError, match="no command"):
        PmicMeter((str(tmp_path / "nothing"), "pmic_read_adc"))
