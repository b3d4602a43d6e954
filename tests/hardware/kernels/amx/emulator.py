"""AMX for tests: this machine's own where it has it, and else an emulator of its instructions.

The emulator is compiled here and runs our real machine code: where an instruction of AMX raises
SIGILL, its handler computes what it would have done (`amx_emulator.c`).
"""

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hardware.facts import AMX_USED
from hardware.kernels.compiling.target import KernelTarget
from hardware.runtime.amx import why_no_amx
from hardware.target import TargetConfig

_SOURCE = Path(__file__).with_suffix("").with_name("amx_emulator.c")
_COMPILERS = ("cc", "gcc", "clang")
KINDS = ("configure", "release", "zero", "load", "store", "multiply")


class Emulator:
    """The instructions of AMX in this process."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.emulator_count.restype = ctypes.c_long

    @classmethod
    def make(cls, folder: Path) -> "Emulator | str":
        """Compile it; return why it cannot be had instead where that is so."""
        if platform.machine() != "x86_64":
            return f"AMX is x86-64's, and this is {platform.machine()}"
        if _own_family() not in ("avx512-vnni", "avx-vnni", "avx2"):
            return "what is beside AMX's instructions needs AVX2, and this CPU has not"
        compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
        if compiler is None:
            return f"AMX is emulated by a C file, and there is no compiler: {', '.join(_COMPILERS)}"
        library = folder / "amx_emulator.so"
        warnings = ["-Wall", "-Wextra", "-Werror"]
        command = [compiler, "-O2", *warnings, "-shared", "-fPIC", str(_SOURCE), "-o", str(library)]
        subprocess.run(command, check=True, timeout=60)
        return cls(library)

    @contextmanager
    def running(self) -> Iterator["Emulator"]:
        """Emulate in the block; whatever a real CPU would have refused there fails."""
        assert self._library.emulator_start() == 0
        try:
            yield self
        finally:
            self._library.emulator_stop()
            kept = self._library.emulator_release()
        assert not (problem := self.problem()), problem
        assert not kept, "the tiles were not released"

    def problem(self) -> str:
        """Return what a real CPU would have refused first, and forget it."""
        text = ctypes.create_string_buffer(256)
        self._library.emulator_problem(text, ctypes.c_size_t(256))
        return text.value.decode()

    def counts(self) -> dict[str, int]:
        """Return the instructions so far by their kinds."""
        return {kind: self._library.emulator_count(n) for n, kind in enumerate(KINDS)}


def has_amx() -> bool:
    """Return whether this machine has AMX and lends it."""
    return not why_no_amx()


def amx_target() -> KernelTarget:
    """Return a target with AMX that this machine runs, where it has none with the emulator.

    Its code is then scheduled as for Intel's servers: LLVM renames tile registers, whose sizes it
    does not know, where it schedules for AMD's (see `test_every_tile_keeps_its_part`).
    """
    if has_amx():
        return KernelTarget.of(TargetConfig())
    mcpu = "cascadelake" if _own_family() == "avx512-vnni" else "haswell"
    target = KernelTarget.of(TargetConfig(mcpu=mcpu, amx=False))
    return replace(target, mattr=(*target.mattr, "+amx-tile", "+amx-int8"), amx=AMX_USED)


def _own_family() -> str:
    return KernelTarget.of(TargetConfig(amx=False)).family
