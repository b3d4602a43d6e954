"""INA3221: the power monitor of NVIDIA Jetson boards, in the two places kernels have shown it.

Newer kernels (JetPack 5 and 6) have the hwmon driver: `inN_label`, `inN_input` in mV and
`currN_input` in mA for N of 1..3. Older ones (JetPack 4) have an iio driver: `rail_name_N`,
`in_powerN_input` in mW, `in_voltageN_input` in mV and `in_currentN_input` in mA for N of 0..2.
Source: Linux kernel documentation, hwmon/ina3221; NVIDIA's L4T development guide for the other.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from hardware.energy.errors import MeterError
from hardware.energy.power import PowerRecording

_HWMON = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_IIO = "sys/bus/i2c/drivers/ina3221x/*/iio:device*"
_WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails that carry everything the board takes: alone, as the others branch off them."""
_UNUSED = ("NC", "NOT USED")
_INTERVAL_S = 0.05
"""The monitor converts three channels in 7 ms or more and may average many conversions."""
_MILLI = 1e-3

ReadWatts = Callable[[], float]


class Ina3221Meter:
    """Power of the whole board where one rail tells it, else the sum of all rails."""

    source = "ina3221"
    interval_s = _INTERVAL_S

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the rails and read each once.

        Raises:
            MeterError: there are none, or they cannot be read.
        """
        rails = [*_hwmon_rails(root), *_iio_rails(root)]
        if not rails:
            raise MeterError(
                f"no INA3221 under {root / 'sys/bus/i2c/drivers'}", "Jetson boards have one"
            )
        whole = [rail for rail in rails if rail[0] in _WHOLE_BOARD]
        self._rails = whole[:1] or rails
        self.what = " + ".join(name for name, _ in self._rails)
        self._read_w()

    def record(self) -> PowerRecording:
        """Sample the rails during pieces of work."""
        return PowerRecording(self._read_w, self.interval_s)

    def _read_w(self) -> float:
        return sum(read_w() for _, read_w in self._rails)


def _hwmon_rails(root: Path) -> Iterator[tuple[str, ReadWatts]]:
    for folder in sorted(root.glob(_HWMON)):
        for channel in (1, 2, 3):  # further ones are sums of shunt voltages
            label = folder / f"in{channel}_label"
            voltage, current = folder / f"in{channel}_input", folder / f"curr{channel}_input"
            if label.exists() and current.exists() and not _is_unused(name := _text(label)):
                yield name, _product(voltage, current)


def _iio_rails(root: Path) -> Iterator[tuple[str, ReadWatts]]:
    for folder in sorted(root.glob(_IIO)):
        for channel in (0, 1, 2):
            label = folder / f"rail_name_{channel}"
            if not label.exists() or _is_unused(name := _text(label)):
                continue
            power = folder / f"in_power{channel}_input"
            if power.exists():
                yield name, _power(power)
            else:
                yield (
                    name,
                    _product(
                        folder / f"in_voltage{channel}_input", folder / f"in_current{channel}_input"
                    ),
                )


def _power(milliwatts: Path) -> ReadWatts:
    return lambda: _number(milliwatts) * _MILLI


def _product(millivolts: Path, milliamperes: Path) -> ReadWatts:
    return lambda: _number(millivolts) * _number(milliamperes) * _MILLI * _MILLI


def _is_unused(name: str) -> bool:
    return name.upper() in _UNUSED


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise MeterError(f"cannot read {file}: {error.strerror}") from None


def _number(file: Path) -> float:
    try:
        return float(file.read_text())
    except PermissionError:
        raise MeterError(
            f"{file} may not be read by this user", f"allow it with: sudo chmod a+r {file.parent}/*"
        ) from None
    except (OSError, ValueError) as error:
        raise MeterError(f"expected a number in {file}, found {error}") from None
