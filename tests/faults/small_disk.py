"""A small file system of its own, which can be filled and given more room."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, left_bytes: int = 0) -> None:
        """Leave so many bytes, at most."""
        assert self.path.is_mount(), "what is no small disk any more must not be filled"
        usage = shutil.disk_usage(self.path)
        with self._ballast.open("ab") as file:
            file.write(bytes(max(0, usage.free - left_bytes)))

    def free(self) -> None:
        """Give the disk room."""
        self._ballast.unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=256m", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, size_kb: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many kB; the test is skipped where that is not allowed."""
    path.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(path)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
