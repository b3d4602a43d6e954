"""Hidden vectors: run a command as if this CPU had AVX2 and nothing wider, for every library.

Most CPUs that networks are deployed on have AVX2 without VNNI. On a wider machine, a preloaded
library (hidden_vectors.c) makes the cpuid instruction fault and takes the wider bits out of its
answer, so that every engine chooses the code it would choose on an AVX2 machine. Where the
processor cannot do that, an instruction that faults is put in the place of every cpuid of the
installed packages (replaced_cpuid.c). It is the same core otherwise: clocks, caches and memory stay
this machine's.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from experiments.errors import BenchError
from tools.hide_wide_vectors.cpuid_places import write_places

_SOURCE = Path(__file__).with_name("hidden_vectors.c")
_AUDIT_SOURCE = Path(__file__).with_name("replaced_cpuid.c")
_ARCH_PRCTL, _ARCH_SET_CPUID = 158, 0x1012
_SYMBOL = "bitalloc_vectors_hidden"
_GLIBC = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
"""glibc chooses its memcpy before any library is loaded; this tells it by another way."""


_HOW = {1: "CPUID faulting", 2: "replacing each cpuid of their libraries by a fault"}
"""By the preloaded library's state."""


def shim_state() -> int | None:
    """Return the preloaded library's state, None without it.

    1: cpuid faults and is narrowed. 2: what was put in its place is. -1: neither is possible.
    """
    try:
        return ctypes.c_int.in_dll(ctypes.CDLL(None), _SYMBOL).value
    except ValueError:
        return None


def how_hidden() -> str:
    """Return a sentence about what was hidden, empty where nothing is."""
    how = _HOW.get(shim_state() or 0)
    return f"AVX-512 and VNNI were hidden from every engine by {how}" if how else ""


def check_hidden() -> None:
    """Make sure that libraries see an AVX2 machine.

    Raises:
        BenchError: cpuid cannot be made to fault here, or a library still sees wider vectors.
    """
    if not how_hidden():
        raise BenchError(
            "hiding wide vectors: expected Linux on an x86 processor, found a kernel or processor "
            "that refuses arch_prctl(ARCH_SET_CPUID)",
            "run the module by itself: it then sees what this CPU has",
        )
    seen = torch.backends.cpu.get_cpu_capability()
    if seen != "AVX2":
        raise BenchError(
            f"hiding wide vectors: expected torch to see AVX2, found that it sees {seen}"
        )


def run_hidden(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module arguments` in a process without wide vectors; return its exit code.

    The process comes back here by way of `__main__`, which checks it before the module starts.

    Raises:
        BenchError: there is no C compiler, or it fails; or the processor has no CPUID faulting and
            a package is missing that does without it.
    """
    with tempfile.TemporaryDirectory(prefix="bitalloc-") as folder:
        environment = _environment(Path(folder))
        command = [sys.executable, "-m", __package__, "-m", module, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process from which wide vectors are hidden.

    Args:
        folder: For the libraries that do it.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BenchError(
            "hiding wide vectors: expected Linux on x86, found "
            f"{platform.system()} on {platform.machine()}",
            "run the module by itself: it then sees what this CPU has",
        )
    flags, audit = [], os.environ.get("LD_AUDIT", "")
    if not _has_cpuid_faulting():
        places = folder / "places.inc"
        packages = ("site-packages", "dist-packages")
        found = write_places((Path(one) for one in sys.path if Path(one).name in packages), places)
        if not found:
            raise BenchError(
                "hiding wide vectors: expected packages on sys.path that ask cpuid, found none"
            )
        flags = ["-DREPLACED"]
        auditor = _compile(_AUDIT_SOURCE, folder, [f'-DPLACES="{places}"'])
        audit = ":".join(filter(None, (str(auditor), audit)))
    library = _compile(_SOURCE, folder, flags)
    preload = [str(library), *os.environ.get("LD_PRELOAD", "").split()]
    tunables = [*filter(None, os.environ.get("GLIBC_TUNABLES", "").split(":")), _GLIBC]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(preload),
        "GLIBC_TUNABLES": ":".join(tunables),
    }
    return environment | ({"LD_AUDIT": audit} if audit else {})


def _has_cpuid_faulting() -> bool:
    """Return whether kernel and processor can make cpuid fault."""
    # A process of its own, as the next cpuid would end it.
    code = (
        "import ctypes, os; "
        f"os._exit(ctypes.CDLL(None).syscall({_ARCH_PRCTL}, {_ARCH_SET_CPUID}, 0) != 0)"
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _compile(source: Path, folder: Path, flags: Sequence[str]) -> Path:
    """Return a shared library made of one file."""
    library = folder / source.with_suffix(".so").name
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        raise BenchError(
            f"hiding wide vectors: expected a C compiler, found no {compiler}",
            "install one, or name it in the environment variable CC",
        )
    options = ["-O2", "-shared", "-fPIC", *flags]
    command = [compiler, *options, str(source), "-o", str(library), "-ldl"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stderr.strip().splitlines()
        raise BenchError(
            f"hiding wide vectors: {source.name} cannot be compiled by {compiler}: "
            f"{said[-1] if said else 'it gives no reason'}",
            "this needs Linux on x86",
        )
    return library
