"""TargetConfig: which device, and what TVM is told about it."""

from dataclasses import dataclass
from typing import Literal

from hardware.errors import TargetError

__all__ = ["DOT_PRODUCT", "KernelFamily", "TargetConfig"]

KernelFamily = Literal["avx512-vnni", "avx-vnni", "avx2", "arm-dot", "neon", "generic"]
"""Names of the groups of kernels: by the instructions that multiply."""

DOT_PRODUCT: tuple[KernelFamily, ...] = ("avx512-vnni", "avx-vnni", "arm-dot")
"""Those made of dot-product instructions, for which all widths cost the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetConfig:
    """The device that measures, and the kernels it gets."""

    runner: Literal["local", "simulated"] = "local"
    """`local`: this machine, through TVM. `simulated`: a formula for tests, labelled as such."""
    mcpu: str = ""
    """LLVM CPU name; empty means this machine's own."""
    family: Literal["auto"] | KernelFamily = "auto"
    """Kernel family; `auto` takes the fastest that the CPU's features allow."""
    dot_product: bool = True
    """Use dot-product instructions where the CPU has them; without, lower bits are faster than
    higher ones."""
    kernel_cache: str = ""
    """Folder of compiled kernels; empty means `$XDG_CACHE_HOME/bitalloc/kernels`."""
    tile_choices: str = ""
    """Folder of what the tile search chose; empty means `$XDG_CACHE_HOME/bitalloc/tiles`."""
    tune_s: float = 60.0
    """Longest tile search for one network, in seconds. 0: no search, and no choice of an earlier
    one, so that every layer gets the default tile."""
    threads: int = 1
    """Threads of TVM's pool that share the work of a network."""

    def __post_init__(self) -> None:
        """Refuse thread counts that cannot be had, and settings that contradict each other."""
        if self.threads < 1:
            raise TargetError(f"target.threads: expected at least 1, found {self.threads}")
        if not self.tune_s >= 0:
            raise TargetError(f"target.tune_s: expected at least 0, found {self.tune_s}")
        if self.family in DOT_PRODUCT and not self.dot_product:
            raise TargetError(
                f"target.dot_product: false leaves out the instructions that target.family: "
                f"{self.family} is made of",
                "use target.family=auto",
            )
