"""Hidden vectors: what the bench knows when it runs under python -m tools.hide_wide_vectors."""

import os
from dataclasses import replace

import torch

from experiments.errors import BenchError
from hardware.target import TargetConfig

HIDDEN = "BITALLOC_HIDDEN_VECTORS"
"""Environment variable that says how wide vectors were hidden; empty where they are not."""
HIDING = ("python", "-m", "tools.hide_wide_vectors")
"""The command that hides them, and sets the variable, before it runs the module after `-m`."""
_MCPU = "haswell"
"""LLVM's name of the first core with AVX2. LLVM looks at a CPU's model first and takes a narrowed
Xeon for `skylake-avx512`, so the name has to be said."""


def how_hidden() -> str:
    """Return a sentence about what was hidden from this process, empty where nothing is."""
    return os.environ.get(HIDDEN, "")


def as_seen(target: TargetConfig) -> TargetConfig:
    """Return the target for the CPU that every engine sees: an AVX2 core where the rest is hidden.

    Raises:
        BenchError: a library sees what is said to be hidden.
    """
    if not how_hidden():
        return target
    seen = torch.backends.cpu.get_cpu_capability()
    if seen != "AVX2":
        raise BenchError(
            f"{HIDDEN}: expected torch to see AVX2 where it is set, found that it sees {seen}",
            f"{' '.join(HIDING)} -m experiments.bench runtime hides the rest and sets it",
        )
    return replace(target, mcpu=target.mcpu or _MCPU)
