"""TargetConfig: which device, and what TVM is told about it."""

from dataclasses import dataclass
from typing import Literal

from hardware.errors import TargetError

__all__ = ["KernelFamily", "TargetConfig"]

KernelFamily = Literal["avx2", "arm-dot", "neon", "generic"]
"""Names of the groups of kernels: by the instructions that multiply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetConfig:
    """The device that measures, and the kernels it gets."""

    runner: Literal["local", "simulated"] = "local"
    """`local`: this machine, through TVM. `simulated`: a formula for tests, labelled as such."""
    mcpu: str = ""
    """LLVM CPU name; empty means this machine's own."""
    family: Literal["auto"] | KernelFamily = "auto"
    """Kernel family; `auto` takes the fastest that the CPU's features allow."""
    kernel_cache: str = ""
    """Folder of compiled kernels; empty means `$XDG_CACHE_HOME/bitalloc/kernels`."""
    threads: int = 1
    """Threads a network may use; the kernels of this version use one."""

    def __post_init__(self) -> None:
        """Refuse thread counts that cannot be had."""
        if self.threads != 1:
            raise TargetError(f"target.threads: expected 1, found {self.threads}")
