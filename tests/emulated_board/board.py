"""EmulatedBoard: an aarch64 Linux with Python and tvm's runtime, emulated on this machine.

Its times say nothing about any core. It answers whether code computes what it should, and whether
it uses an instruction that a core lacks.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.emulated_board.errors import BoardProcessError
from tests.emulated_board.process import BoardProcess, ended

_SERVER = Path(__file__).with_name("serve_calls.py")
_TIMEOUT_S = 240.0
"""Less than a test's own limit, so that the board's process never outlives its test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmulatedBoard:
    """What `make_board` made."""

    folder: Path
    python_version: str

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the board's Python; it needs `environment` as well."""
        root = self.folder / "root"
        emulator = self.folder / "host" / "usr" / "bin" / "qemu-aarch64-static"
        python = root / "usr" / "bin" / f"python{self.python_version}"
        return [str(emulator), "-L", str(root), str(python), *arguments]

    def environment(self, cpu: str) -> dict[str, str]:
        """Return the environment of a process on the board.

        Args:
            cpu: A CPU that the emulator knows, such as `cortex-a72`: it lacks what that CPU lacks.
        """
        return {
            "PATH": os.environ.get("PATH", ""),
            "LC_ALL": "C.UTF-8",
            "QEMU_CPU": cpu,
            "PYTHONPATH": str(self.folder / "site"),
            # Imports of the emulated Python take half the time when their bytecode is kept.
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            # Without the compiler's library, which a board has no use for.
            "TVM_USE_RUNTIME_LIB": "1",
        }

    def run_python(self, arguments: Sequence[str], *, cpu: str = "cortex-a72") -> str:
        """Run the board's Python to its end, and return what it wrote to standard output.

        Raises:
            BoardProcessError: It ended with another status than 0, or took too long.
        """
        try:
            done = subprocess.run(
                self.command(arguments),
                env=self.environment(cpu),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BoardProcessError(f"the board's process took more than {_TIMEOUT_S} s") from error
        if done.returncode != 0:
            raise ended(done.returncode, cpu, done.stderr)
        return done.stdout

    def link(self, objects: Sequence[Path], library: Path) -> None:
        """Link aarch64 object files into a shared library with the cross linker.

        Raises:
            BoardProcessError: The linker failed.
        """
        linker = self.host_tool("aarch64-linux-gnu-ld")
        command = [*linker, "-shared", "-o", str(library), *(str(path) for path in objects)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BoardProcessError(
                f"the cross linker ended with {done.returncode}: {done.stderr.strip()[-2000:]}",
                returncode=done.returncode,
            )

    def host_tool(self, name: str) -> list[str]:
        """Return the command of a program of this machine that came with the board."""
        host = self.folder / "host"
        return [*_loaded_from(host), str(host / "usr" / "bin" / name)]

    def process(self, cpu: str) -> BoardProcess:
        """Return a process that calls functions of linked libraries; the caller closes it.

        Args:
            cpu: See `environment`.
        """
        return BoardProcess(self.command([str(_SERVER)]), self.environment(cpu), cpu)


def _loaded_from(root: Path) -> list[str]:
    """Return the dynamic loader and the libraries of a root, so that the host's are not mixed in.

    Empty where the root has none of its own: the host's are used then.
    """
    loaders = sorted([*root.glob("lib64/ld-linux-*.so.*"), *root.glob("lib/ld-linux-*.so.*")])
    if not loaders:
        return []
    folders = [*root.glob("lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu")]
    return [str(loaders[0]), "--library-path", ":".join(str(folder) for folder in folders)]
