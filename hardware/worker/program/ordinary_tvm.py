"""Ordinary TVM: the float network imported and compiled as TVM's tutorials do, to compare with."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program

from hardware.kernels.compiling.target import KernelTarget
from hardware.target import TargetConfig

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdinaryProgram:
    """A float network as ordinary TVM compiles it, and how long that took."""

    import_s: float
    """Seconds from the exported program to a Relax module."""
    build_s: float
    """Seconds from the Relax module to a loaded virtual machine."""
    machine: Any

    def run(self, x: Images) -> Images:
        """Run on a batch of the exported shape, float32 `[N, C, H, W]`."""
        result = self.machine["main"](tvm.runtime.tensor(x, tvm.cpu()))
        output: Images = _first(result).numpy()
        return output


def build_ordinary(exported: Any, config: TargetConfig) -> OrdinaryProgram:
    """Import and build what `torch.export.export` returned, for this machine.

    Nothing is tuned, and nothing of ours is in it: `from_exported_program`, then `relax.build`
    for the target that our own kernels are compiled for.

    Args:
        exported: The exported program, with a fixed batch.
        config: The target.
    """
    target = KernelTarget.of(config).tvm_target()
    started = time.perf_counter()
    with warnings.catch_warnings():
        # torch warns of its own tree specification when TVM decomposes the program.
        warnings.simplefilter("ignore", FutureWarning)
        module = from_exported_program(exported)
    imported = time.perf_counter()
    executable = relax.build(module, target)
    machine = relax.VirtualMachine(executable, tvm.cpu())
    return OrdinaryProgram(
        import_s=imported - started, build_s=time.perf_counter() - imported, machine=machine
    )


def _first(result: Any) -> Any:
    """Return the only output; exported programs return tuples."""
    return result[0] if isinstance(result, Sequence) or not hasattr(result, "numpy") else result
