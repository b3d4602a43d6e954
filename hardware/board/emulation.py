"""Whether this is a real machine or an emulated one, whose times mean nothing."""

import os
import platform
from pathlib import Path

from hardware.facts import read_text

EMULATED = "BITALLOC_EMULATED"
"""Environment variable: the name of the emulator, for those that cannot be seen from inside."""


def emulator(root: Path = Path("/"), machine: str = "") -> str:
    """Return the emulator's name, empty on a real machine.

    A process under qemu's user mode has the emulator's name as its command, and sees the processor
    description of the machine below.

    Args:
        root: Where `proc` is found.
        machine: As `platform.machine()` says it; empty asks.
    """
    if named := os.environ.get(EMULATED):
        return named
    command = read_text(root / "proc/self/comm")
    if command.startswith("qemu-"):
        return command
    # x86 alone has this line; Arm's kernels write "CPU implementer".
    x86_below = "vendor_id" in read_text(root / "proc/cpuinfo")
    machine = machine or platform.machine()
    return "unknown emulator" if x86_below and machine in ("aarch64", "armv7l") else ""
