"""LLVM's tools of one version: they must read what TVM's LLVM writes."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tvm.target import codegen

from hardware.errors import ToolchainError

_NAMES = ("opt", "llc", "llvm-mca")
_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LlvmTools:
    """Where `opt`, `llc` and `llvm-mca` are."""

    version: int
    opt: str
    llc: str
    mca: str

    @classmethod
    def find(cls) -> "LlvmTools":
        """Return the tools of TVM's own version of LLVM.

        Raises:
            ToolchainError: says what to install.
        """
        version = int(codegen.llvm_version_major())
        found = [shutil.which(f"{name}-{version}") for name in _NAMES]
        paths = [path for path in found if path is not None]
        if len(paths) < len(found):
            raise ToolchainError(
                f"modelled cycles need LLVM {version}'s opt, llc and llvm-mca, TVM's own version",
                f"sudo apt-get install llvm-{version}",
            )
        opt, llc, mca = paths
        return cls(version=version, opt=opt, llc=llc, mca=mca)


def run_tool(command: Sequence[str], text: str) -> tuple[str, str]:
    """Return what a tool writes to its standard output and error for some text.

    Raises:
        ToolchainError: it failed.
    """
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode != 0:
        raise ToolchainError(
            f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[:500]}"
        )
    return done.stdout, done.stderr
