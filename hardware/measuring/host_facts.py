"""Facts of this machine that travel with every measurement. What cannot be read is left out."""

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from hardware.facts import MachineFacts, MomentFacts, read_cpuinfo, read_machine, read_text

_FEATURES = (
    *("sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni"),
    *("amx_tile", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve"),
)
"""CPU flags that a kernel family may depend on, x86 and Arm, as the kernel names them."""

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@lru_cache(maxsize=1)
def standing_facts() -> MachineFacts:
    """Return what does not change while a process lives: CPU, features, kernel, versions."""
    cpuinfo = read_cpuinfo(_CPUINFO)
    facts: MachineFacts = {
        "cpu": cpuinfo.get("model name") or platform.processor() or platform.machine(),
        **read_machine(cpuinfo, _FEATURES),
    }
    if flags := cpuinfo.get("flags") or cpuinfo.get("Features"):
        facts["virtual_machine"] = "hypervisor" in flags.split()
    return facts


def moment_facts() -> MomentFacts:
    """Return what changes from moment to moment: load, governor, frequency, temperature."""
    facts: MomentFacts = {"load_1min": round(os.getloadavg()[0], 2)}
    if governor := read_text(_GOVERNOR):
        facts["governor"] = governor
    if (frequency := psutil.cpu_freq()) and frequency.current:
        facts["cpu_mhz"] = round(frequency.current, 1)
    sensors: dict[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    temperatures = [reading.current for group in sensors.values() for reading in group]
    if temperatures:
        facts["hottest_c"] = max(temperatures)
    return facts
