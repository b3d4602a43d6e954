"""Modelled cycles of one kernel: each block's by llvm-mca, times how often it is executed.

llvm-mca simulates the units, ports and latencies of a core on one block, again and again. Every
load hits the first cache, every branch is foretold, and a block overlaps with itself alone. So what
comes out tells kernels apart by what they compute; it is no latency.
"""

import json
from dataclasses import dataclass
from typing import Any

import tvm

from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.modelled.blocks import CountedBlock, counted_blocks
from hardware.modelled.llvm_tools import LlvmTools, run_tool

_SYMBOL = "kernel"
_TURNS = 100
"""Times that a block is simulated, to see it overlap with itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelledKernel:
    """What one execution of a kernel takes, by a model."""

    family: str
    instructions: int
    cycles: float


def model_kernel(
    plan: KernelPlan, target: KernelTarget, core: str, tools: LlvmTools
) -> ModelledKernel:
    """Return the instructions and the modelled cycles of one kernel.

    Args:
        plan: The kernel.
        target: What it is compiled for.
        core: LLVM's name of the core whose model is asked.
        tools: LLVM's tools.

    Raises:
        BuildError: a loop's number of turns is not known.
        ToolchainError: a tool failed.
    """
    blocks = kernel_blocks(plan, target, tools)
    cycles = _cycles(blocks, target, core, tools)
    return ModelledKernel(
        family=plan.family,
        instructions=sum(len(block.lines) * block.count for block in blocks),
        cycles=sum(each * block.count for each, block in zip(cycles, blocks, strict=True)),
    )


def kernel_blocks(
    plan: KernelPlan, target: KernelTarget, tools: LlvmTools
) -> tuple[CountedBlock, ...]:
    """Return the blocks of a kernel with how often they are executed.

    Raises:
        BuildError: a loop's number of turns is not known.
        ToolchainError: a tool failed.
    """
    module = tvm.tirx.build(tvm.IRModule({_SYMBOL: plan.build(_SYMBOL)}), target.tvm_target())
    code = str(module.inspect_source("ll"))
    # The code is optimized already; only the last step is taken again, for its comments.
    assembly, _ = run_tool([tools.llc, "-O3", *_machine(target, target.mcpu), "-o", "-"], code)
    scev = [tools.opt, "-passes=print<scalar-evolution>", "-disable-output"]
    _, analysis = run_tool([*scev, "-scalar-evolution-classify-expressions=0"], code)
    return counted_blocks(assembly, analysis)


def _cycles(
    blocks: tuple[CountedBlock, ...], target: KernelTarget, core: str, tools: LlvmTools
) -> list[float]:
    """Return the cycles that one execution of each block takes among many."""
    source = "\n".join(
        "\n".join([f"# LLVM-MCA-BEGIN {number}", *block.lines, "# LLVM-MCA-END"])
        for number, block in enumerate(blocks)
    )
    if target.mtriple.startswith("aarch64"):
        source = source.replace("# LLVM-MCA", "// LLVM-MCA")
    command = [tools.mca, f"-iterations={_TURNS}", "-json", *_machine(target, core)]
    # Calls, and what a model has no numbers for, take no time in it.
    answer, _ = run_tool([*command, "-skip-unsupported-instructions=any"], source + "\n")
    regions: list[dict[str, Any]] = json.loads(answer)["CodeRegions"]
    found = {int(one["Name"]): float(one["SummaryView"]["TotalCycles"]) for one in regions}
    # A block of nothing but what is left out has no region.
    return [found.get(number, 0.0) / _TURNS for number in range(len(blocks))]


def _machine(target: KernelTarget, mcpu: str) -> list[str]:
    """Return the options that name a machine for LLVM's tools."""
    attributes = [f"-mattr={','.join(target.mattr)}"] if target.mattr else []
    return [f"-mtriple={target.mtriple}", f"-mcpu={mcpu}", *attributes]
