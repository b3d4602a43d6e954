"""Opening the meter that a configuration names, or the first one that is there."""

from collections.abc import Callable
from pathlib import Path

from hardware.energy.command_meter import CommandMeter
from hardware.energy.csv_meter import CsvMeter
from hardware.energy.errors import MeterError
from hardware.energy.ina3221 import Ina3221Meter
from hardware.energy.meter import Meter
from hardware.energy.pmic import PmicMeter
from hardware.energy.rapl import RaplMeter

BUILT_IN = ("rapl", "ina3221", "pmic")
"""Meters that a machine has of its own, in the order in which `auto` looks for them."""

WHAT_TO_CONNECT = (
    "use a machine with RAPL, a Jetson or a Raspberry Pi 5, connect a power meter and name it with "
    "--energy.meter external, or ask for --energy.meter modelled --energy.modelled-w WATTS"
)


def open_meter(
    kind: str,
    *,
    command: str = "",
    csv: str = "",
    interval_s: float = 0.1,
    root: Path = Path("/"),
) -> Meter:
    """Return a meter that has answered once.

    Args:
        kind: `auto`, `rapl`, `ina3221`, `pmic` or `external`.
        command: Of an external meter.
        csv: File of an external meter; `command` or this.
        interval_s: Of a command.
        root: Where the tree of sensors begins, `/` but in tests.

    Raises:
        MeterError: it is not there or cannot be read; for `auto`, why none of them can.
    """
    openers: dict[str, Callable[[], Meter]] = {
        "rapl": lambda: RaplMeter(root),
        "ina3221": lambda: Ina3221Meter(root),
        "pmic": PmicMeter,
        "external": lambda: CommandMeter(command, interval_s) if command else CsvMeter(Path(csv)),
    }
    if kind != "auto":
        return openers[kind]()
    reasons = []
    for name in BUILT_IN:
        try:
            return openers[name]()
        except MeterError as error:
            reasons.append(f"{name}: {error}")
    raise MeterError(f"found no energy meter ({'; '.join(reasons)})", WHAT_TO_CONNECT)
