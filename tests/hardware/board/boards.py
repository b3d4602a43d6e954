"""File trees as Linux shows them on boards; formats as in the kernel's documentation."""

from pathlib import Path

_PI_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

processor\t: 1
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_pi(root: Path, *, throttled: str = "0x0", milli_c: int = 48_312) -> None:
    """Write what a Raspberry Pi 4 with a 64-bit system shows."""
    cpufreq = "sys/devices/system/cpu/cpu0/cpufreq/"
    write(
        root,
        {
            "proc/cpuinfo": _PI_CPUINFO,
            "proc/meminfo": "MemTotal:        3884360 kB\nMemFree: 1 kB\n",
            "proc/self/comm": "python3\n",
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/device-tree/serial-number": "10000000abcdef01\0",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            cpufreq + "scaling_governor": "ondemand\n",
            cpufreq + "scaling_cur_freq": "1500000\n",
            cpufreq + "scaling_max_freq": "1500000\n",
            cpufreq + "cpuinfo_max_freq": "1800000\n",
            "sys/class/thermal/thermal_zone0/temp": f"{milli_c}\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": f"{throttled}\n",
        },
    )


def write_jetson(root: Path, *, state: int = 0) -> None:
    """Write the cooling devices of a Jetson: a fan, and the processor's clock."""
    thermal = "sys/class/thermal/"
    write(
        root,
        {
            thermal + "cooling_device0/type": "pwm-fan\n",
            thermal + "cooling_device0/cur_state": "2\n",
            thermal + "cooling_device1/type": "cpufreq-cpu0\n",
            thermal + "cooling_device1/cur_state": f"{state}\n",
        },
    )
