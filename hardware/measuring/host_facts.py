"""Facts of this machine that travel with every measurement. What cannot be read is left out."""

import os
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

__all__ = ["moment_facts", "standing_facts"]

_FEATURES = (
    *("sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni"),
    *("asimd", "asimddp", "i8mm", "sve"),
)
"""CPU flags that a kernel family may depend on, x86 and Arm, as the kernel names them."""

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi", "numpy": "numpy"}


@lru_cache(maxsize=1)
def standing_facts() -> Mapping[str, Any]:
    """Return what does not change while a process lives: CPU, features, kernel, versions."""
    cpuinfo = _cpuinfo()
    flags = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    facts: dict[str, Any] = {
        "cpu": cpuinfo.get("model name") or platform.processor() or platform.machine(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cpu_features": [name for name in _FEATURES if name in flags],
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    if flags:
        facts["virtual_machine"] = "hypervisor" in flags
    for name, package in _PACKAGES.items():
        try:
            facts[name] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def moment_facts() -> dict[str, Any]:
    """Return what changes from moment to moment: load, governor, frequency, temperature."""
    facts: dict[str, Any] = {"load_1min": round(os.getloadavg()[0], 2)}
    if governor := _text(_GOVERNOR):
        facts["governor"] = governor
    if (frequency := psutil.cpu_freq()) and frequency.current:
        facts["cpu_mhz"] = round(frequency.current, 1)
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    temperatures = [reading.current for group in sensors.values() for reading in group]
    if temperatures:
        facts["hottest_c"] = max(temperatures)
    return facts


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's entry of /proc/cpuinfo, empty where there is none."""
    first = _text(_CPUINFO).split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
