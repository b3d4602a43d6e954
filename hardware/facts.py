"""Facts: what host, worker and board tell each other of machines, as JSON.

What cannot be read is left out. A board's side has this file, too: it needs Python alone.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict, cast

_PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi", "numpy": "numpy"}


AMX_USED = "used"
"""What the fact `amx` is where kernels use AMX."""
AMX_LEFT_OUT = "left out by the configuration"
"""What it is where the user wants it so."""


class EnergyFacts(TypedDict, total=False):
    """What must be equal where energies are compared."""

    energy_source: str
    meter: str
    watts: float | None
    """Of a modelled source."""
    window_s: float
    idle_s: float
    error: str
    """Why a board has no such meter, and what helps."""
    hint: str


class MachineFacts(TypedDict, total=False):
    """What stays while a machine runs: it travels with every measurement, as part of its key.

    A device's facts are those of its machine, of its worker and of its meter.
    """

    cpu: str
    machine: str
    cores: int | None
    cpu_features: list[str]
    kernel: str
    python: str
    tvm: str
    tvm_ffi: str
    numpy: str
    virtual_machine: bool
    # What boards alone tell.
    model: str
    system: str
    agent: int
    """Version of the board's functions (see `hardware.board.names`)."""
    emulated: str
    """Name of the emulator, empty on a real machine."""
    governor: str
    max_mhz: float
    limit_mhz: float
    """The highest clock that the board may have."""
    memory_mb: int
    meters: dict[str, str]
    """Its own meters: why not, empty where it has."""
    id: str
    hostname: str
    name: str
    """What the board was called when it was started."""
    # What the process that loaded TVM tells.
    llvm: int
    target: str
    amx: str
    """`AMX_USED`, or why a CPU that has AMX goes without; missing where it has none."""
    linker: str
    # What the device adds.
    preset: str
    energy: EnergyFacts
    # What a formula tells.
    giga_instructions_per_s: float
    call_us: float
    noise: float


class MomentFacts(TypedDict, total=False):
    """What changes from moment to moment."""

    load_1min: float
    governor: str
    cpu_mhz: float
    hottest_c: float
    throttled: list[str]
    """Why a board is held back; missing where it cannot tell."""


class RulerFacts(TypedDict, total=False):
    """The ruler around one timing (see `hardware.measuring.ruler.RulerReading`)."""

    before_us: float
    after_us: float
    best_us: float
    waited_s: float
    cpu_share: float
    slowdown: float


class MeasurementFacts(MachineFacts, total=False):
    """A device's facts, and what was seen around one measurement."""

    board: str
    """Name of the board that it was."""
    families: dict[str, str]
    """`{layer: kernel family}`."""
    before: MomentFacts
    after: MomentFacts
    ruler: RulerFacts
    reference_drift: float
    """How much slower the board is than at first, as a share."""
    void_attempts: list[str]
    """Why timings were thrown away."""
    discarded_attempts_ms: list[list[float]]


class SessionEnd(TypedDict, total=False):
    """How a board's session ended; empty where nothing is known."""

    pid: int
    code: int
    signal: str


class OpenedSession(TypedDict):
    """What a board answers first: this session, the board's name, and the session before."""

    pid: int
    name: str
    last_end: SessionEnd


class Connected(TypedDict):
    """What a worker that reached a board answers."""

    opened: OpenedSession
    facts: MachineFacts


class TimedRepeats(TypedDict):
    """Milliseconds of one execution in each repeat, and what all took together."""

    values_ms: list[float]
    wall_s: float
    cpu_s: float


def read_machine(cpuinfo: Mapping[str, str], features: Sequence[str]) -> MachineFacts:
    """Return what is read in the same way on every machine: all but what its processor is called.

    Args:
        cpuinfo: See `read_cpuinfo`.
        features: CPU flags that are told where the processor has them.
    """
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    facts: MachineFacts = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cpu_features": [name for name in features if name in flags],
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    return cast(MachineFacts, {**facts, **_versions()})


def read_cpuinfo(file: Path) -> dict[str, str]:
    """Return the first processor's entry of /proc/cpuinfo, empty where there is none."""
    first = read_text(file).split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def read_text(path: Path) -> str:
    """Return a file's text without blanks around it, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _versions() -> dict[str, str]:
    found = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found
