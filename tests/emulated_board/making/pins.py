"""What is on the emulated board: its packages, its wheels, and the key made of both."""

import hashlib
import json
from pathlib import Path

BOARD_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "libgomp1")
"""Debian packages for aarch64; apt adds what they depend on."""

HOST_PACKAGES = ("qemu-user-static", "binutils-aarch64-linux-gnu")
"""Debian packages for this machine: the emulator and the cross linker."""

WHEELS = (
    "apache-tvm",
    "apache-tvm-ffi",
    "cloudpickle",
    "ml_dtypes",
    "numpy",
    "psutil",
    "tornado",
    "typing_extensions",
)
"""Wheels for aarch64. Versions are those of `constraints.txt` where it names the project; tvm's
RPC server needs psutil, cloudpickle and tornado."""

_LAYOUT = 1
"""Raise it when the folder's layout changes: folders of another layout are never reused."""

_CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"


def wheel_requirements() -> list[str]:
    """Return the wheels with a version each, as pip takes them.

    Raises:
        ValueError: A wheel has no version of its own and none in `constraints.txt`.
    """
    lines = _CONSTRAINTS.read_text(encoding="utf-8").split()
    pinned = {line.partition("==")[0]: line for line in lines if "==" in line}
    requirements = [wheel if "==" in wheel else pinned.get(wheel, "") for wheel in WHEELS]
    for wheel, requirement in zip(WHEELS, requirements, strict=True):
        if not requirement:
            raise ValueError(f"expected a version of {wheel} in {_CONSTRAINTS.name}, found none")
    return requirements


def board_key() -> str:
    """Return a short digest of everything that is pinned; the board's folder is named after it."""
    document = json.dumps([_LAYOUT, BOARD_PACKAGES, HOST_PACKAGES, wheel_requirements()])
    return hashlib.sha256(document.encode()).hexdigest()[:16]
