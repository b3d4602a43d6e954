"""Sensor trees in the kernel's own file formats, written below a folder that stands for `/`."""

from collections.abc import Mapping
from pathlib import Path

PMIC_TEXT = """\
3V7_WL_SW_A current(0)=0.08197936A
   3V3_SYS_A current(1)=0.05953269A
   1V8_SYS_A current(2)=0.17566800A
  DDR_VDD2_A current(3)=0.01073511A
  DDR_VDDQ_A current(4)=0.00000000A
   1V1_SYS_A current(5)=0.18933040A
    0V8_SW_A current(6)=0.32012880A
  VDD_CORE_A current(7)=1.54489000A
   3V3_DAC_A current(17)=0.00012207A
   3V3_ADC_A current(18)=0.00018310A
   0V8_AON_A current(16)=0.00457763A
      HDMI_A current(22)=0.01196288A
3V7_WL_SW_V volt(8)=3.73092600V
   3V3_SYS_V volt(9)=3.31244700V
   1V8_SYS_V volt(10)=1.80461400V
  DDR_VDD2_V volt(11)=1.10842700V
  DDR_VDDQ_V volt(12)=0.60683720V
   1V1_SYS_V volt(13)=1.10695900V
    0V8_SW_V volt(14)=0.80366160V
  VDD_CORE_V volt(15)=0.88725180V
   3V3_DAC_V volt(20)=3.31135500V
   3V3_ADC_V volt(21)=3.30860700V
   0V8_AON_V volt(19)=0.79975210V
      HDMI_V volt(23)=5.15454000V
     EXT5V_V volt(24)=5.15454000V
      BATT_V volt(25)=0.00000000V
"""
"""What `vcgencmd pmic_read_adc` prints on a Raspberry Pi 5, in its own layout."""


def write(root: Path, files: Mapping[str, object]) -> None:
    """Write files of one line each."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def rapl_tree(root: Path, packages: Mapping[int, int], *, range_uj: int = 262143328850) -> None:
    """Write `{package: microjoules}` with the zones that Linux shows beside them."""
    powercap = "sys/class/powercap"
    write(root, {f"{powercap}/intel-rapl/enabled": 1})
    for number, energy_uj in packages.items():
        zone = f"{powercap}/intel-rapl:{number}"
        write(
            root,
            {
                f"{zone}/name": f"package-{number}",
                f"{zone}/energy_uj": energy_uj,
                f"{zone}/max_energy_range_uj": range_uj,
                f"{zone}:0/name": "core",
                f"{zone}:0/energy_uj": 999,
                f"{zone}:0/max_energy_range_uj": range_uj,
                f"{zone}:1/name": "dram",
                f"{zone}:1/energy_uj": 5_000_000,
                f"{zone}:1/max_energy_range_uj": 65712999613,
            },
        )
    write(
        root,
        {
            f"{powercap}/intel-rapl:9/name": "psys",
            f"{powercap}/intel-rapl:9/energy_uj": 1,
            f"{powercap}/intel-rapl:9/max_energy_range_uj": range_uj,
        },
    )


def set_rapl(root: Path, package: int, energy_uj: int) -> None:
    write(root, {f"sys/class/powercap/intel-rapl:{package}/energy_uj": energy_uj})


def hwmon_tree(root: Path, rails: Mapping[str, tuple[int, int]], chip: str = "1-0040") -> None:
    """Write `{label: (mV, mA)}` as the hwmon driver of JetPack 5 and 6 does."""
    folder = f"sys/bus/i2c/drivers/ina3221/{chip}/hwmon/hwmon3"
    files: dict[str, object] = {f"{folder}/name": "ina3221"}
    for channel, (label, (millivolts, milliamperes)) in enumerate(rails.items(), start=1):
        files[f"{folder}/in{channel}_label"] = label
        files[f"{folder}/in{channel}_input"] = millivolts
        files[f"{folder}/curr{channel}_input"] = milliamperes
    # The driver adds a channel for the sum of the shunt voltages, which is no rail.
    files[f"{folder}/in7_label"] = "sum of shunt voltages"
    files[f"{folder}/in7_input"] = 12345
    files[f"{folder}/curr4_input"] = 9999
    write(root, files)


def iio_tree(
    root: Path, rails: Mapping[str, tuple[int, int]], chip: str = "6-0040", *, power: bool = True
) -> None:
    """Write `{label: (mV, mA)}` as the iio driver of JetPack 4 does."""
    folder = f"sys/bus/i2c/drivers/ina3221x/{chip}/iio:device0"
    files: dict[str, object] = {f"{folder}/name": "ina3221x"}
    for channel, (label, (millivolts, milliamperes)) in enumerate(rails.items()):
        files[f"{folder}/rail_name_{channel}"] = label
        files[f"{folder}/in_voltage{channel}_input"] = millivolts
        files[f"{folder}/in_current{channel}_input"] = milliamperes
        if power:
            files[f"{folder}/in_power{channel}_input"] = millivolts * milliamperes // 1000
    write(root, files)
