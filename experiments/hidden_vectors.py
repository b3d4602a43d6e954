"""Hidden vectors: run a command as if this CPU had AVX2 and nothing wider, for every library.

Most CPUs that networks are deployed on have AVX2 without VNNI. On a wider machine, a preloaded
library (hidden_vectors.c) makes the cpuid instruction fault and takes the wider bits out of its
answer, so that every engine chooses the code it would choose on an AVX2 machine. It is the same
core otherwise: clocks, caches and memory stay this machine's.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from experiments.errors import BenchError

__all__ = ["HIDDEN_MCPU", "SENTENCE", "check_hidden", "run_hidden", "shim_state"]

SENTENCE = "AVX-512 and VNNI were hidden from every engine by CPUID faulting"
HIDDEN_MCPU = "haswell"
"""LLVM's name of the first core with AVX2. LLVM looks at a CPU's model first and takes a narrowed
Xeon for `skylake-avx512`, so the name has to be said."""

_SOURCE = Path(__file__).with_name("hidden_vectors.c")
_SYMBOL = "bitalloc_vectors_hidden"
_GLIBC = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
"""glibc chooses its memcpy before any library is loaded; this tells it by another way."""


def shim_state() -> int | None:
    """Return None without the library, 1 where cpuid is narrowed, -1 where that is impossible."""
    try:
        return ctypes.c_int.in_dll(ctypes.CDLL(None), _SYMBOL).value
    except ValueError:
        return None


def check_hidden() -> None:
    """Make sure that libraries see an AVX2 machine.

    Raises:
        BenchError: cpuid cannot be made to fault here, or a library still sees wider vectors.
    """
    if shim_state() != 1:
        raise BenchError(
            "--hide-wide-vectors: expected Linux on an x86 processor with CPUID faulting, "
            "found a kernel or processor that refuses arch_prctl(ARCH_SET_CPUID)",
            "leave the flag out: the bench then says what this CPU has",
        )
    seen = torch.backends.cpu.get_cpu_capability()
    if seen != "AVX2":
        raise BenchError(
            f"--hide-wide-vectors: expected torch to see AVX2, found that it sees {seen}"
        )


def run_hidden(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module arguments` with wide vectors hidden, and return its exit code.

    Raises:
        BenchError: there is no C compiler, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="bitalloc-") as folder:
        library = _compile(Path(folder))
        preload = [str(library), *os.environ.get("LD_PRELOAD", "").split()]
        tunables = [*filter(None, os.environ.get("GLIBC_TUNABLES", "").split(":")), _GLIBC]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(preload),
            "GLIBC_TUNABLES": ":".join(tunables),
        }
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


def _compile(folder: Path) -> Path:
    library = folder / "hidden_vectors.so"
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        raise BenchError(
            f"--hide-wide-vectors: expected a C compiler, found no {compiler}",
            "install one, or name it in the environment variable CC",
        )
    command = [compiler, "-O2", "-shared", "-fPIC", str(_SOURCE), "-o", str(library), "-ldl"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stderr.strip().splitlines()
        raise BenchError(
            f"--hide-wide-vectors: {_SOURCE.name} cannot be compiled by {compiler}: "
            f"{said[-1] if said else 'it gives no reason'}",
            "this needs Linux on x86",
        )
    return library
