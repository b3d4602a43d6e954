"""Throttling: whether the board is slower than it should be, because of heat or of its supply."""

import subprocess
from pathlib import Path

_PI_NOW = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Bits of the Raspberry Pi firmware's `get_throttled` that say what is so at the moment; bits 16 to
19 say the same of the time since the board was started."""
_PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_VCGENCMD_LIMIT_S = 2.0


def throttle_reasons(root: Path = Path("/")) -> list[str] | None:
    """Return why the board is held back right now; None where it cannot be told.

    Args:
        root: Where `sys` is found; the firmware's own command is asked only below `/`.
    """
    flags = _pi_flags(root)
    cooling = _cooling_reasons(root)
    if flags is None and cooling is None:
        return None
    reasons = [word for bit, word in _PI_NOW.items() if (flags or 0) >> bit & 1]
    return reasons + (cooling or [])


def _pi_flags(root: Path) -> int | None:
    try:
        return int((root / _PI_FILE).read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    if root != Path("/"):
        return None
    try:
        done = subprocess.run(
            ["vcgencmd", "get_throttled"],
            capture_output=True,
            text=True,
            timeout=_VCGENCMD_LIMIT_S,
            check=True,
        )
        return int(done.stdout.partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _cooling_reasons(root: Path) -> list[str] | None:
    """Return the kernel's processor cooling devices that hold the clock down, as on a Jetson."""
    found = False
    reasons = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        try:
            kind = (device / "type").read_text().strip()
            state = int((device / "cur_state").read_text())
        except (OSError, ValueError):
            continue
        if "cpufreq" not in kind and "cpu-" not in kind:
            continue
        found = True
        if state > 0:
            reasons.append(f"{kind} at cooling state {state}")
    return reasons if found else None
