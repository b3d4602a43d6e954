"""Modelled cycles of a network's layers at their bit pairs."""

from collections.abc import Sequence

from hardware.graph.borders import with_borders
from hardware.graph.program_steps import steps_of
from hardware.graph.random_codes import layer_alone
from hardware.graph.tensor_widths import BitPair
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.plan_step import plan_step
from hardware.layers.timing import bit_pairs
from hardware.modelled.kernel_model import ModelledKernel, model_kernel
from hardware.modelled.llvm_tools import LlvmTools
from hardware.progress import LabelledProgress
from quant.deploy_graph import DeployGraph

_SEED = 0


def model_layers(
    graph: DeployGraph,
    bit_choices: Sequence[int],
    target: KernelTarget,
    core: str,
    progress: LabelledProgress | None = None,
    *,
    equal_bits: bool = True,
    batch: int = 1,
) -> dict[str, dict[BitPair, ModelledKernel]]:
    """Return `{layer: {bit pair: what its kernel takes}}`; tiles are the default ones.

    Args:
        graph: The converted network; random codes stand in for its weights.
        bit_choices: The widths that may be chosen.
        target: What kernels are compiled for.
        core: LLVM's name of the core whose model is asked.
        progress: Called after each layer.
        equal_bits: Only pairs of equal widths.
        batch: Images in one execution.

    Raises:
        BuildError: a layer has no kernel at one of the pairs.
        ToolchainError: LLVM's tools are missing, or failed.
    """
    tools, graph = LlvmTools.find(), with_borders(graph)
    known: dict[str, ModelledKernel] = {}
    found: dict[str, dict[BitPair, ModelledKernel]] = {}
    pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
    for done, (layer, choices) in enumerate(pairs.items()):
        found[layer] = {}
        for pair in choices:
            plan = _plan(layer_alone(graph, layer, pair, _SEED), target, batch)
            if plan.document not in known:
                known[plan.document] = model_kernel(plan, target, core, tools)
            found[layer][pair] = known[plan.document]
        if progress is not None:
            progress(done + 1, len(pairs), layer)
    return found


def _plan(part: DeployGraph, target: KernelTarget, batch: int) -> KernelPlan:
    """Return the kernel of a layer, with what is computed beside it."""
    context = PlanContext(graph=part, batch=batch, target=target)
    # Before the kernel of a product there are the codes of its right tensor.
    *_, plan = (plan_step(step, context) for step in steps_of(part))
    assert plan is not None
    return plan
