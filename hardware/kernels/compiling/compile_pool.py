"""Compiling many kernels at once, each process one kernel at a time.

    this process    plan 0    plan 1    plan 2     plan 2 again   plan 3
                    submit    submit    on disk    seen           submit
    process 0         compile 0 ........................   compile 3 ..............
    process 1                   compile 1 ..............................

Planning goes on while kernels are compiled. When there are no more plans, it waits for all of them.
"""

import multiprocessing
import os
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.errors import BuildError
from hardware.kernels.compiling.cache import KernelCache, compile_entry
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from quant.records.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileReport:
    """How many kernels of a set were made, and how long that took."""

    kernels: int
    """Different kernels of the set."""
    compiled: int
    """Those of them that were not there before."""
    processes: int
    wall_s: float
    """From the first plan to the last kernel, planning included."""
    cpu_s: float
    """CPU time of the compilations, of all processes together; planning is not in it."""


def compile_kernels(
    plans: Iterable[KernelPlan],
    cache: KernelCache,
    target: KernelTarget,
    processes: int,
    progress: Progress | None = None,
) -> CompileReport:
    """Compile the kernels that a cache lacks; nothing is loaded.

    The processes are started afresh and not forked, as TVM's threads do not survive a fork. They
    compile what is planned so far while `plans` goes on.

    Args:
        plans: Kernels; those that come twice are compiled once.
        cache: Where they are kept.
        target: What they are compiled for.
        processes: Kernels compiled at the same time.
        progress: Called with (kernels done, kernels known so far).

    Raises:
        BuildError: a kernel cannot be compiled, or ends the process that compiles it.
        ToolchainError: there is no C++ compiler.
    """
    started = time.perf_counter()
    seen: set[str] = set()
    waiting: set[Future[float]] = set()
    compiled, cpu_s = 0, 0.0
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))

    def collect(timeout_s: float | None) -> None:
        nonlocal waiting, cpu_s
        done, waiting = wait(waiting, timeout_s, FIRST_COMPLETED)
        cpu_s += sum(future.result() for future in done)
        if progress is not None:
            progress(len(seen) - len(waiting), len(seen))

    try:
        for plan in plans:
            if plan.document in seen:
                continue
            seen.add(plan.document)
            if not cache.has(plan):
                compiled += 1
                # The constants are no part of the code.
                bare = replace(plan, constants=())
                folder = cache.folder / plan.symbol
                waiting.add(pool.submit(_compile, folder, bare, target))
            collect(0)
        while waiting:
            collect(None)
    except BrokenProcessPool:
        raise BuildError(
            "a kernel ended the process that compiled it",
            "compile with one process, to see which",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return CompileReport(
        kernels=len(seen),
        compiled=compiled,
        processes=processes,
        wall_s=time.perf_counter() - started,
        cpu_s=cpu_s,
    )


def _compile(folder: Path, plan: KernelPlan, target: KernelTarget) -> float:
    """Compile one kernel and return the CPU seconds it took."""
    started = _cpu_s()
    compile_entry(folder, plan, target)
    return _cpu_s() - started


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of those it waited for, such as the linker."""
    return sum(os.times()[:4])
