"""External meter by command: any program that prints the present watts, or joules so far.

The command prints one line, a number and its unit: `W` or `mW` for power, `J`, `mJ` or `Wh` for a
counter that only grows. It is run again for each reading, without a shell.
"""

import re
import shlex
import subprocess

from hardware.energy.counter import CounterRecording
from hardware.energy.errors import MeterError
from hardware.energy.meter import Recording
from hardware.energy.power import PowerRecording

_TIMEOUT_S = 10.0
_LINE = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]+)\s*")
_WATTS = {"W": 1.0, "mW": 1e-3}
_JOULES = {"J": 1.0, "mJ": 1e-3, "Wh": 3600.0}


class CommandMeter:
    """A command as a meter; its first answer decides whether it tells power or energy."""

    source = "external"

    def __init__(self, command: str, interval_s: float) -> None:
        """Run the command once.

        Args:
            command: The command line.
            interval_s: Time between two runs of it; for a counter, between two of its changes.

        Raises:
            MeterError: it cannot be run, or prints something else than expected.
        """
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise MeterError(f"the command {command!r} cannot be split: {error}") from None
        if not self._arguments:
            raise MeterError("expected a command that prints watts or joules, found nothing")
        self.what = command
        self.interval_s = interval_s
        self._unit = self._read()[1]

    def record(self) -> Recording:
        """Run the command during pieces of work, or around them where it counts energy."""
        if self._unit in _WATTS:
            return PowerRecording(self._value, self.interval_s)
        return CounterRecording(lambda: {self.what: self._value()})

    def _value(self) -> float:
        number, unit = self._read()
        if unit != self._unit:
            raise MeterError(f"{self.what!r} printed {self._unit} at first and {unit} now")
        return number * {**_WATTS, **_JOULES}[unit]

    def _read(self) -> tuple[float, str]:
        try:
            done = subprocess.run(
                self._arguments, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MeterError(f"the meter's command {self.what!r} cannot be run: {error}") from None
        if done.returncode:
            raise MeterError(
                f"the meter's command {self.what!r} ended with exit code {done.returncode}: "
                f"{done.stderr.strip()[:200]}"
            )
        found = _LINE.fullmatch(done.stdout)
        if found is None or found[2] not in {**_WATTS, **_JOULES}:
            raise MeterError(
                f"expected a line such as '3.21 W' or '1500 J' from {self.what!r}, found "
                f"{done.stdout.strip()[:80]!r}",
                f"units are {', '.join(_WATTS)} for power and {', '.join(_JOULES)} for a counter",
            )
        return float(found[1]), found[2]
