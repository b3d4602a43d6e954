"""PMIC: the power management chip of the Raspberry Pi 5, read with `vcgencmd pmic_read_adc`.

Each line is one value, such as `VDD_CORE_A current(7)=1.54489000A`; a rail has a current and a
voltage line. The 5 V input has a voltage alone: what USB devices and the chip itself lose is in no
sum of these rails, and nothing is guessed for it.
Source: Raspberry Pi documentation, vcgencmd (pmic_read_adc).
"""

import re
import subprocess
from collections.abc import Sequence

from hardware.energy.errors import MeterError
from hardware.energy.power import PowerRecording

_COMMAND = ("vcgencmd", "pmic_read_adc")
_INTERVAL_S = 0.1
"""A process for each reading: more often, reading would be a load of its own."""
_TIMEOUT_S = 5.0
_LINE = re.compile(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=([-+.\d]+)[AV]")


def rail_watts(text: str) -> dict[str, float]:
    """Return the watts of each rail that has a current and a voltage."""
    values: dict[str, dict[str, float]] = {}
    for rail, kind, value in _LINE.findall(text):
        values.setdefault(rail, {})[kind] = float(value)
    return {
        rail: found["A"] * found["V"] for rail, found in values.items() if set(found) == {"A", "V"}
    }


class PmicMeter:
    """Sum of the rails behind the power management chip."""

    source = "pmic"
    interval_s = _INTERVAL_S

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        """Read the rails once.

        Raises:
            MeterError: this is no Raspberry Pi 5, or the chip cannot be read.
        """
        self._command = tuple(command)
        rails = self._rails()
        self.what = f"{len(rails)} rails of the PMIC, without USB devices and losses before them"

    def record(self) -> PowerRecording:
        """Sample the rails during pieces of work."""
        return PowerRecording(self._read_w, self.interval_s)

    def _read_w(self) -> float:
        return sum(self._rails().values())

    def _rails(self) -> dict[str, float]:
        name = " ".join(self._command)
        try:
            done = subprocess.run(
                self._command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            raise MeterError(
                f"no command {self._command[0]}", "Raspberry Pi OS has it, in raspi-utils"
            ) from None
        except (OSError, subprocess.SubprocessError) as error:
            raise MeterError(f"{name} cannot be run: {error}") from None
        said = f"{done.stdout}\n{done.stderr}"
        if "/dev/vc" in said or "ermission" in said:
            raise MeterError(
                f"{name} may not open its device: {_first_line(said)}",
                "add the user to its group with: sudo usermod -aG video $USER, and log in again",
            )
        rails = rail_watts(done.stdout)
        if not rails:
            raise MeterError(
                f"{name} tells no currents: {_first_line(said)}",
                "a Raspberry Pi 4 or older has no sensor of current; connect an external meter",
            )
        return rails


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no output"
