"""RAPL: the energy counters of x86 processors, through Linux's powercap tree.

Source: Linux kernel documentation, admin-guide/pm/intel-rapl and power/powercap (files `name`,
`energy_uj`, `max_energy_range_uj` of each zone). AMD processors show the same tree.
"""

from collections.abc import Mapping
from pathlib import Path

from hardware.energy.counter import CounterRecording
from hardware.energy.errors import MeterError

_POWERCAP = Path("sys/class/powercap")
_UPDATE_S = 0.001
"""The counters are updated about every millisecond."""
_MICRO = 1e-6


class RaplMeter:
    """Sum of all packages, and of their memory where it has a counter of its own.

    The zones `core` and `uncore` lie inside their package, and `psys` around all of them: neither
    is added. A zone starts again from 0 at `max_energy_range_uj`, which takes minutes at least,
    so that a window sees it once at most.
    """

    source = "rapl"
    interval_s = _UPDATE_S

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the zones and read each once.

        Raises:
            MeterError: there are none, or they cannot be read.
        """
        folder = root / _POWERCAP
        self._files: dict[str, Path] = {}
        self._ranges_j: dict[str, float] = {}
        for zone in sorted(folder.glob("intel-rapl:*")):
            name = _text(zone / "name")
            if name.startswith("package") or name == "dram":
                label = _label(zone, name)
                self._files[label] = zone / "energy_uj"
                self._ranges_j[label] = _micro(zone / "max_energy_range_uj")
        if not self._files:
            raise MeterError(
                f"no RAPL zone under {folder}",
                "virtual machines and most Arm boards have none",
            )
        self.what = " + ".join(self._files)
        self._read_j()

    def record(self) -> CounterRecording:
        """Read the counters around pieces of work."""
        return CounterRecording(self._read_j, self._ranges_j)

    def _read_j(self) -> Mapping[str, float]:
        return {label: _micro(file) for label, file in self._files.items()}


def _label(zone: Path, name: str) -> str:
    """Return `package-0`, or `dram of intel-rapl:0:2`, as several packages have one."""
    return name if name.startswith("package") else f"{name} of {zone.name}"


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _micro(file: Path) -> float:
    """Read a file of microjoules."""
    try:
        return int(file.read_text()) * _MICRO
    except PermissionError:
        raise MeterError(
            f"{file} may be read by root alone",
            "allow it until the next start with: sudo chmod a+r "
            "/sys/class/powercap/intel-rapl:*/energy_uj",
        ) from None
    except (OSError, ValueError) as error:
        raise MeterError(f"expected microjoules in {file}, found {error}") from None
