"""Wheels for another machine, unpacked into a folder that its Python can import from."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.emulated_board.errors import BoardUnavailable

_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux2014")
"""Those that Debian 12's C library (2.36) can load, newest first."""

_HOST_ONLY = ("libtvm_compiler.so", "3rdparty", "tests")
"""Files and folders that a board has no use for: the compiler (240 MB), headers, tests."""


def unpack_wheels(
    requirements: Sequence[str], *, python_version: str, folder: Path, work: Path
) -> list[str]:
    """Download aarch64 wheels and unpack them without the compiler.

    Args:
        requirements: One for each wheel, as pip takes them; nothing is added to them.
        python_version: Of the board, such as `3.11`.
        folder: Receives the packages.
        work: Folder for the downloads; the caller removes it.

    Raises:
        BoardUnavailable: No pip, no network, or no such wheel.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--platform={platform}_aarch64" for platform in _PLATFORMS]
    command += [f"--python-version={python_version}", f"--dest={work}", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BoardUnavailable(
            f"pip download ended with {done.returncode}: {done.stderr.strip()[-500:]}",
            "the board needs a package index with aarch64 wheels",
        )
    wheels = sorted(work.glob("*.whl"))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if not set(_HOST_ONLY) & set(Path(n).parts)]
            archive.extractall(folder, names)
    return [wheel.name for wheel in wheels]
