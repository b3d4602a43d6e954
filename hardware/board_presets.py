"""Board presets: what the compiler is told about a board, and what can run there."""

from dataclasses import dataclass
from typing import Literal

BoardName = Literal[
    "rpi3",
    "rpi4",
    "rpi5",
    "jetson-nano",
    "jetson-xavier",
    "jetson-orin",
    "generic-aarch64",
    "same-cpu",
]
"""Names of the presets."""

_AARCH64 = "aarch64-linux-gnu"
_PI_SYSTEMS = (
    "Raspberry Pi OS 64-bit (12 has Python 3.11, 13 has 3.13) or Ubuntu 22.04 and newer for arm64; "
    "not a 32-bit system: there is no TVM wheel for it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardPreset:
    """One kind of board."""

    title: str
    """For people."""
    mcpu: str
    """LLVM's name of the core, from which its features follow; empty means this machine's."""
    mtriple: str
    """LLVM's triple; empty means this machine's."""
    systems: str
    """Which operating systems and Python versions work, in one sentence."""


PRESETS: dict[BoardName, BoardPreset] = {
    "rpi3": BoardPreset(
        title="Raspberry Pi 3 (4 x Cortex-A53)",
        mcpu="cortex-a53",
        mtriple=_AARCH64,
        systems=_PI_SYSTEMS,
    ),
    "rpi4": BoardPreset(
        title="Raspberry Pi 4 (4 x Cortex-A72)",
        mcpu="cortex-a72",
        mtriple=_AARCH64,
        systems=_PI_SYSTEMS,
    ),
    "rpi5": BoardPreset(
        title="Raspberry Pi 5 (4 x Cortex-A76, dot product)",
        mcpu="cortex-a76",
        mtriple=_AARCH64,
        systems=_PI_SYSTEMS,
    ),
    "jetson-nano": BoardPreset(
        title="Jetson Nano, CPU (4 x Cortex-A57)",
        mcpu="cortex-a57",
        mtriple=_AARCH64,
        systems="JetPack 4 with a Python 3.10 or newer of your own (conda-forge, for example): its "
        "own Python 3.6 is too old for TVM's wheels",
    ),
    "jetson-xavier": BoardPreset(
        title="Jetson Xavier, CPU (Carmel)",
        mcpu="carmel",
        mtriple=_AARCH64,
        systems="JetPack 5 with a Python 3.10 or newer of your own (conda-forge, for example): its "
        "own Python 3.8 is too old for TVM's wheels",
    ),
    "jetson-orin": BoardPreset(
        title="Jetson Orin, CPU (Cortex-A78AE, dot product)",
        mcpu="cortex-a78ae",
        mtriple=_AARCH64,
        systems="JetPack 6 (Python 3.10); on JetPack 5 a Python 3.10 or newer of your own",
    ),
    "generic-aarch64": BoardPreset(
        title="any 64-bit Arm Linux (NEON, no dot product)",
        mcpu="generic",
        mtriple=_AARCH64,
        systems="any 64-bit Linux with glibc 2.27 or newer and Python 3.10 or newer",
    ),
    "same-cpu": BoardPreset(
        title="another computer with the same CPU as this one",
        mcpu="",
        mtriple="",
        systems="any 64-bit Linux with glibc 2.27 or newer and Python 3.10 or newer",
    ),
}
