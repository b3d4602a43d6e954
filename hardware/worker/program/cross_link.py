"""Cross-linking: making a shared library for another machine with what this one has."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hardware.errors import ToolchainError

_VENDORS = ("-linux-gnu", "-unknown-linux-gnu", "-none-linux-gnu")
"""Endings that cross tools have after the architecture."""
_MATHEMATICS = "libm.so.6"
"""Where `expf` and its like are on a board with glibc: float islands call them."""
_LIMIT_S = 300.0
"""The first link with ziglang builds its own library, which took 25 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossLinker:
    """How libraries for one architecture are linked here; called like a `Link` of `linking`."""

    name: str
    """For people."""
    compiler: tuple[str, ...] = ()
    """A C or C++ compiler driver that assembles and links, with its first arguments."""
    assembler: str = ""
    linker: str = ""
    """The two programs of binutils, where there is no driver."""

    def __call__(self, library: str, files: Sequence[str]) -> None:
        """Link object and assembler files into a shared library.

        Raises:
            RuntimeError: one of the programs failed; the message is its own.
        """
        if self.compiler:
            _run([*self.compiler, "-shared", "-fPIC", "-o", library, *files, "-lm"])
            return
        objects = []
        for file in files:
            if file.endswith(".s"):
                objects.append(str(Path(file).with_suffix(".o")))
                _run([self.assembler, "-o", objects[-1], file])
            else:
                objects.append(file)
        with tempfile.TemporaryDirectory(prefix="bitalloc-link-") as folder:
            # Binutils come without the board's libraries: an empty one of the name is enough for
            # the program to say that it needs it.
            source, empty, stand_in = (
                str(Path(folder) / name) for name in ("empty.s", "empty.o", _MATHEMATICS)
            )
            Path(source).write_text("", encoding="ascii")
            _run([self.assembler, "-o", empty, source])
            _run([self.linker, "-shared", "-soname", _MATHEMATICS, "-o", stand_in, empty])
            needed = ["--no-as-needed", stand_in]
            _run([self.linker, "-shared", "-o", library, *objects, *needed])


def find_cross_linker(mtriple: str) -> CrossLinker:
    """Return what links for a target: cross binutils, else a cross compiler, else ziglang.

    Args:
        mtriple: LLVM's triple of the target, such as `aarch64-linux-gnu`.

    Raises:
        ToolchainError: there is none of them.
    """
    machine = mtriple.partition("-")[0]
    prefixes = [machine + vendor + "-" for vendor in _VENDORS]
    for prefix in prefixes:
        assembler, linker = shutil.which(prefix + "as"), shutil.which(prefix + "ld")
        if assembler and linker:
            return CrossLinker(name=f"binutils ({prefix}ld)", assembler=assembler, linker=linker)
    for prefix in prefixes:
        for name in ("g++", "gcc"):
            if compiler := shutil.which(prefix + name):
                return CrossLinker(name=prefix + name, compiler=(compiler,))
    if importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu")
        return CrossLinker(name="ziglang", compiler=command)
    raise ToolchainError(
        f"expected a cross linker for {machine} on this machine, found neither {prefixes[0]}ld "
        f"with {prefixes[0]}as, nor {prefixes[0]}g++, nor ziglang",
        f"sudo apt install binutils-{machine.replace('_', '-')}-linux-gnu, or: pip install ziglang",
    )


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} took more than {_LIMIT_S:g} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
