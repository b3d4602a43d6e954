"""Facts of the board: what it is, and how it is at the moment. What cannot be read is left out."""

import hashlib
import os
import platform
import socket
from pathlib import Path
from typing import cast

from hardware.board.emulation import emulator
from hardware.board.names import AGENT_VERSION
from hardware.board.throttle import throttle_reasons
from hardware.energy.errors import MeterError
from hardware.energy.open_meter import BUILT_IN, open_meter
from hardware.facts import MachineFacts, MomentFacts, read_cpuinfo, read_machine, read_text

_ROOT = Path("/")
_FEATURES = ("asimd", "asimddp", "asimdhp", "i8mm", "sve", "avx2", "avx512_vnni", "avx_vnni")
"""CPU flags that a kernel family may depend on, as Linux names them."""
_PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x4e", "0x004"): "Carmel",
}
"""`(implementer, part)` of /proc/cpuinfo. Source: Linux, arch/arm64/include/asm/cputype.h."""
_CPUFREQ = "sys/devices/system/cpu/cpu*/cpufreq"


def describe_board(root: Path = _ROOT) -> MachineFacts:
    """Return what stays while the board runs: model, cores, features, system, versions.

    Args:
        root: Where `proc`, `sys` and `etc` are found.
    """
    cpuinfo = read_cpuinfo(root / "proc/cpuinfo")
    facts = {
        "model": _model(root, cpuinfo),
        "cpu": _cpu(cpuinfo),
        **read_machine(cpuinfo, _FEATURES),
        "system": _system(root),
        "agent": AGENT_VERSION,
        "emulated": emulator(root),
        "governor": _governors(root),
        "max_mhz": _highest_mhz(root, "cpuinfo_max_freq"),
        "limit_mhz": _highest_mhz(root, "scaling_max_freq"),
        "memory_mb": _memory_mb(root),
        "meters": meters(root),
        "id": _board_id(root),
        "hostname": socket.gethostname(),
    }
    return cast(MachineFacts, {name: value for name, value in facts.items() if value is not None})


def board_moment(root: Path = _ROOT) -> MomentFacts:
    """Return load, governor, clock, temperature and throttling of this moment."""
    facts = {
        "load_1min": round(os.getloadavg()[0], 2),
        "governor": _governors(root),
        "cpu_mhz": _highest_mhz(root, "scaling_cur_freq"),
        "hottest_c": _hottest_c(root),
        "throttled": throttle_reasons(root),
    }
    return cast(MomentFacts, {name: value for name, value in facts.items() if value is not None})


def meters(root: Path = _ROOT) -> dict[str, str]:
    """Return the energy meters that the board may have of its own: why not, empty where it has."""
    found = {}
    for kind in BUILT_IN:
        try:
            open_meter(kind, root=root)
            found[kind] = ""
        except MeterError as error:
            found[kind] = str(error)
    return found


def _model(root: Path, cpuinfo: dict[str, str]) -> str:
    found = read_text(root / "proc/device-tree/model").strip("\0 ")
    return found or cpuinfo.get("model name") or platform.machine()


def _cpu(cpuinfo: dict[str, str]) -> str:
    part = cpuinfo.get("CPU implementer", ""), cpuinfo.get("CPU part", "")
    return _PARTS.get(part) or cpuinfo.get("model name") or " ".join(part).strip() or "unknown"


def _system(root: Path) -> str | None:
    for line in read_text(root / "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def _governors(root: Path) -> str | None:
    found = {read_text(path / "scaling_governor") for path in root.glob(_CPUFREQ)} - {""}
    return "+".join(sorted(found)) or None


def _highest_mhz(root: Path, file: str) -> float | None:
    values = [_number(path / file) for path in root.glob(_CPUFREQ)]
    found = [value for value in values if value]
    return round(max(found) / 1000.0, 1) if found else None


def _hottest_c(root: Path) -> float | None:
    zones = (root / "sys/class/thermal").glob("thermal_zone*")
    values = [_number(zone / "temp") for zone in zones]
    found = [value for value in values if value is not None]
    return round(max(found) / 1000.0, 1) if found else None


def _memory_mb(root: Path) -> int | None:
    for line in read_text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


def _board_id(root: Path) -> str | None:
    """Return a short digest of the serial number: it tells boards apart and gives nothing away."""
    serial = read_text(root / "proc/device-tree/serial-number").strip("\0 ")
    found = serial or read_text(root / "etc/machine-id")
    return hashlib.sha256(found.encode()).hexdigest()[:12] if found else None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
