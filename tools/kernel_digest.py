"""Tells whether a change of the sources changed the kernels' machine code.

Compiles the kernels of some sixty small plans for each of six CPUs, none of which needs to be this
machine's, and compares digests of their machine code with `kernel_digest.json` beside this file.
Every layer has its default tile: nothing is measured.

    python -m tools.kernel_digest           # exits with 1 and names the plans that differ
    python -m tools.kernel_digest --write   # makes what is compiled now the new baseline
"""

import hashlib
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tvm
import tyro
from elftools.elf.elffile import ELFFile

from hardware.graph.program_steps import steps_of
from hardware.kernels.compiling.limit import limit_kernel
from hardware.kernels.compiling.stamp import stamp_kernel
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.plan_step import plan_step
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily, TargetConfig
from tools.kernel_cases import Case, layer_cases, operator_cases

_BASELINE = Path(__file__).with_suffix(".json")
_PROCESSES = 2
_DIGITS = 16
"""Hexadecimal digits that are kept of a digest."""
_SYMBOL = "kernel"
"""Name of every compiled function: a plan's own name changes with the sources."""

_X86, _ARM = "x86_64-unknown-linux-gnu", "aarch64-linux-gnu"
_CPUS: tuple[tuple[KernelFamily, str, str], ...] = (
    ("avx2", "haswell", _X86),
    ("avx512-vnni", "cascadelake", _X86),
    ("avx-vnni", "alderlake", _X86),
    ("amx", "sapphirerapids", _X86),
    ("neon", "cortex-a72", _ARM),
    ("arm-dot", "cortex-a76", _ARM),
)
"""Families with the CPU and the system that each is compiled for."""

_LIMIT_BITS = (2, 4, 8)
_LIMIT_SHAPES = Geometry(
    batch=1, height=16, width=16, channels=32, out_channels=32, kernel=(3, 3), stride=(2, 2)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One kernel to compile; can be pickled."""

    name: str
    target: KernelTarget
    build: Callable[[str], Any]


def jobs() -> Iterator[Job]:
    """Return the kernels of all CPUs under different names."""
    for family, mcpu, mtriple in _CPUS:
        target = KernelTarget.of(TargetConfig(mcpu=mcpu, family=family), mtriple)
        for case in (*layer_cases(), *operator_cases()):
            yield from _case_jobs(case, target)
        yield from _other_jobs(target)


def _case_jobs(case: Case, target: KernelTarget) -> Iterator[Job]:
    """Return the kernels of a case's steps: one, as what follows a layer is computed with it."""
    target = replace(target, threads=case.threads, transform=case.transform)
    context = PlanContext(graph=case.graph, batch=case.batch, target=target)
    for step in steps_of(case.graph):
        plan = plan_step(step, context)
        assert plan is not None
        yield Job(name=f"{target.family} {case.name}", target=target, build=plan.build)


def _other_jobs(target: KernelTarget) -> Iterator[Job]:
    """Return the kernels that no step of a network has."""
    yield Job(
        name=f"{target.family} stamp",
        target=target,
        build=partial(stamp_kernel, rows=4, stamps=3),
    )
    for bits in _LIMIT_BITS:
        family = choose_family(target.family, bits, bits, _LIMIT_SHAPES)
        yield Job(
            name=f"{target.family} limit w{bits}a{bits}",
            target=target,
            build=partial(limit_kernel, family=family),
        )


def digest_of(job: Job) -> str:
    """Return the digest of a kernel's instructions and of the constants that they load."""
    module = tvm.IRModule({_SYMBOL: job.build(_SYMBOL)})
    built = tvm.tirx.build(module, job.target.tvm_target())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.o"
        built.write_to_file(str(file), "o")
        return _code_digest(file)


def _code_digest(file: Path) -> str:
    """Return the digest of an object file's code, without its names and messages."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if section.name.startswith((".text", ".rodata.cst")):
                digest.update(section.name.encode() + b"\0" + section.data())
    return digest.hexdigest()[:_DIGITS]


def _compile_all() -> dict[str, str]:
    """Return the digest of every kernel by its name."""
    todo = list(jobs())
    names = [job.name for job in todo]
    assert len(set(names)) == len(names), "two kernels have one name"
    # Started afresh and not forked: TVM's threads do not survive a fork.
    with ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn")) as pool:
        return dict(zip(names, pool.map(digest_of, todo, chunksize=4), strict=True))


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each kernel that is new, gone or other code than before."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"gone: {name}")
        elif name not in before:
            lines.append(f"new: {name}")
        elif before[name] != after[name]:
            lines.append(f"other code: {name}")
    return lines


def main(*, write: bool = False) -> int:
    """Compare the kernels' machine code with the baseline.

    Args:
        write: Write the baseline instead.

    Returns:
        1 where a kernel differs, otherwise 0.
    """
    after = _compile_all()
    if write:
        document = {"tvm": tvm.__version__, "kernels": after}
        _BASELINE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"{len(after)} kernels written to {_BASELINE.name}")
        return 0
    document = json.loads(_BASELINE.read_text(encoding="utf-8"))
    if document["tvm"] != tvm.__version__:
        print(f"the baseline is of TVM {document['tvm']}, this is {tvm.__version__}")
    lines = changes(document["kernels"], after)
    print("\n".join([*lines, f"{len(lines)} of {len(after)} kernels differ"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
