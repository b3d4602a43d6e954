"""KernelTarget: which instructions the kernels of one device may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm.target import codegen

from hardware.board_presets import PRESETS
from hardware.errors import TargetError
from hardware.facts import AMX_LEFT_OUT, AMX_USED
from hardware.kernels.epilogue.avx512 import Avx512Epilogue
from hardware.kernels.epilogue.epilogue import Avx2Epilogue, EmitEpilogue, PlainEpilogue
from hardware.kernels.epilogue.neon import NeonEpilogue
from hardware.runtime.amx import ask_for_tiles, why_no_amx
from hardware.target import DOT_PRODUCT, KernelFamily, TargetConfig, Transform

_NEEDS: dict[KernelFamily, tuple[str, str]] = {
    "amx": ("amx-int8", "AMX"),
    "avx512-vnni": ("avx512vnni", "AVX-512 VNNI"),
    "avx-vnni": ("avxvnni", "AVX-VNNI"),
    "avx2": ("avx2", "AVX2"),
    "arm-dot": ("dotprod", "Arm's dot product"),
    "neon": ("neon", "NEON"),
}
"""Families, the faster ones first, and the CPU feature that each needs, as LLVM calls it and as
people do. `generic` needs none."""

_SWITCHED_OFF = {
    "avx2": ("-avx512f", "-avxvnni"),
    "avx-vnni": ("-avx512f",),
    "neon": ("-dotprod",),
}
"""A family uses the instructions that it is named after: with these on, LLVM turns a `pmaddwd` and
an addition into one `vpdpwssd`, and 8 bits would cost what 7 cost without anyone asking for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelTarget:
    """What the code is generated for. Part of every kernel's key."""

    mcpu: str
    """LLVM's name of the CPU."""
    mtriple: str
    """LLVM's target triple."""
    mattr: tuple[str, ...]
    """CPU features switched on (`+name`) or off (`-name`) against the CPU's own."""
    family: KernelFamily
    """Kernel family of the convolutions and matrix products."""
    tvm_version: str
    threads: int = 1
    """Threads that share the work of a kernel."""
    transform: Transform = "words"
    """See `TargetConfig`."""
    amx: str = ""
    """`AMX_USED`, or why a CPU that has AMX goes without; empty where it has none."""

    @classmethod
    def of(cls, config: TargetConfig, mtriple: str = "") -> "KernelTarget":
        """Resolve a configuration: this machine's CPU where none is named, the fastest family.

        Args:
            config: Names the CPU and the family, or leaves them open.
            mtriple: LLVM's triple of another machine; empty means the board's, or this one.

        Raises:
            TargetError: LLVM does not know the CPU, or it lacks what the family needs.
        """
        preset = PRESETS[config.board] if config.board != "none" and config.remote else None
        if preset is not None:
            mtriple = mtriple or preset.mtriple
        mtriple = mtriple or codegen.llvm_get_system_triple()
        mcpu = config.mcpu or (preset.mcpu if preset else "") or codegen.llvm_get_system_cpu()
        if not codegen.llvm_is_valid_cpu(mcpu, mtriple):
            raise TargetError(
                f"target.mcpu: expected a CPU that LLVM knows for {mtriple}, found {mcpu!r}"
            )
        possible = _families_of(mcpu, mtriple)
        amx = _amx_state(config, mcpu, mtriple) if "amx" in possible else ""
        family = _choose(config, possible, amx, mcpu)
        return cls(
            mcpu=mcpu,
            mtriple=mtriple,
            mattr=_SWITCHED_OFF.get(family, ()),
            family=family,
            tvm_version=tvm.__version__,
            threads=config.threads,
            transform=config.transform,
            amx=amx,
        )

    def epilogue(self) -> EmitEpilogue:
        """Return how the kernels of this target turn sums into codes."""
        if self.family in ("amx", "avx512-vnni"):
            return Avx512Epilogue()
        if self.family in ("avx2", "avx-vnni"):
            return Avx2Epilogue()
        return NeonEpilogue() if self.family in ("neon", "arm-dot") else PlainEpilogue()

    @property
    def native(self) -> bool:
        """Whether this machine can load the code: its architecture is this machine's."""
        here = str(codegen.llvm_get_system_triple())
        return self.mtriple.partition("-")[0] == here.partition("-")[0]

    def tvm_target(self) -> Any:
        """Return the `tvm.target.Target` that kernels are compiled for."""
        options: dict[str, Any] = {"kind": "llvm", "mcpu": self.mcpu, "mtriple": self.mtriple}
        if self.mattr:
            options["mattr"] = list(self.mattr)
        return tvm.target.Target(options)

    def document(self) -> dict[str, Any]:
        """Return the part of a kernel's key that says what it is compiled for."""
        return {
            "mcpu": self.mcpu,
            "mtriple": self.mtriple,
            "mattr": list(self.mattr),
            "tvm": self.tvm_version,
        }


def _families_of(mcpu: str, mtriple: str) -> list[KernelFamily]:
    """Return the families whose instructions a CPU has, the faster ones first."""
    plain = tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "mtriple": mtriple})
    return [
        family
        for family, (feature, _) in _NEEDS.items()
        if codegen.llvm_cpu_has_features(feature, plain)
    ]


def _amx_state(config: TargetConfig, mcpu: str, mtriple: str) -> str:
    """Return `AMX_USED`, or why a CPU that has AMX goes without; this process asks Linux for it."""
    if not (config.amx and config.dot_product and config.family in ("auto", "amx")):
        return AMX_LEFT_OUT
    if config.remote:
        return "a board's agent does not ask Linux for it"
    own = mcpu == codegen.llvm_get_system_cpu()
    if own and mtriple.partition("-")[0] == codegen.llvm_get_system_triple().partition("-")[0]:
        return why_no_amx() or AMX_USED
    ask_for_tiles()  # code for another CPU: it may run here all the same, and then needs them
    return AMX_USED


def _choose(
    config: TargetConfig, possible: Sequence[KernelFamily], amx: str, mcpu: str
) -> KernelFamily:
    """Return the family that is named, or the fastest of those that are possible.

    Raises:
        TargetError: the CPU lacks what the named family needs.
    """
    family = config.family
    if family == "auto":
        wanted = (name for name in possible if config.dot_product or name not in DOT_PRODUCT)
        return next((name for name in wanted if name != "amx" or amx == AMX_USED), "generic")
    if family in _NEEDS and family not in possible:
        raise TargetError(
            f"target.family: {family} needs a CPU that has {_NEEDS[family][1]}, and {mcpu} has not",
            "use target.family=auto",
        )
    if family == "amx" and amx != AMX_USED:
        raise TargetError(
            f"target.family: amx cannot be used here: {amx}", "use target.family=auto"
        )
    return family
