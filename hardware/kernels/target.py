"""KernelTarget: which instructions the kernels of one device may use."""

from dataclasses import dataclass
from typing import Any, Literal

import tvm
from tvm.target import codegen

from hardware.errors import TargetError
from hardware.kernels.epilogue import Avx2Epilogue, Epilogue, PlainEpilogue
from hardware.target import TargetConfig

__all__ = ["KernelTarget"]

_WIDER_THAN_AVX2 = ("-avx512f", "-avxvnni")
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
    family: Literal["avx2", "neon", "arm-dot", "generic"]
    """Kernel family of the convolutions and matrix products."""
    tvm_version: str

    @classmethod
    def of(cls, config: TargetConfig) -> "KernelTarget":
        """Resolve a configuration: this machine's CPU where none is named, the fastest family.

        Raises:
            TargetError: LLVM does not know the CPU, or it lacks what the family needs.
        """
        mtriple = codegen.llvm_get_system_triple()
        mcpu = config.mcpu or codegen.llvm_get_system_cpu()
        if not codegen.llvm_is_valid_cpu(mcpu, mtriple):
            raise TargetError(
                f"target.mcpu: expected a CPU that LLVM knows for {mtriple}, found {mcpu!r}"
            )
        plain = tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "mtriple": mtriple})
        has_avx2 = bool(codegen.llvm_cpu_has_features("avx2", plain))
        if config.family == "avx2" and not has_avx2:
            raise TargetError(
                f"target.family: avx2 needs a CPU that has AVX2, and {mcpu} has not",
                "use target.family=auto",
            )
        avx2 = has_avx2 and config.family != "generic"
        return cls(
            mcpu=mcpu,
            mtriple=mtriple,
            mattr=_WIDER_THAN_AVX2 if avx2 else (),
            family="avx2" if avx2 else "generic",
            tvm_version=tvm.__version__,
        )

    def epilogue(self) -> Epilogue:
        """Return how the kernels of this target turn sums into codes."""
        return Avx2Epilogue() if self.family == "avx2" else PlainEpilogue()

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
