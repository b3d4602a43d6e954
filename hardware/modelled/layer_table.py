"""The layer table of a board that nobody has here: LLVM's model of its core in place of a clock."""

from collections.abc import Sequence

from hardware.kernels.compiling.target import KernelTarget
from hardware.layers.table import LayerTable
from hardware.modelled.cores import modelled_core
from hardware.modelled.layer_model import model_layers
from hardware.progress import LabelledProgress
from hardware.target import TargetConfig
from quant.deploy_graph import DeployGraph


def model_layer_table(
    config: TargetConfig,
    graph: DeployGraph,
    bit_choices: Sequence[int],
    progress: LabelledProgress | None = None,
    *,
    equal_bits: bool = False,
    batch: int = 1,
) -> LayerTable:
    """Return a table of modelled cycles at the board's clock, in microseconds.

    What no layer accounts for is not modelled: the overhead is 0.

    Args:
        config: Names the board.
        graph: The converted network; random codes stand in for its weights.
        bit_choices: The widths that may be chosen.
        progress: Called after each layer.
        equal_bits: Only the pairs of equal widths.
        batch: Images in one execution.

    Raises:
        TargetError: no board is named, or its core has no model.
        BuildError: a layer has no kernel at one of the pairs.
        ToolchainError: LLVM's tools are missing, or failed.
    """
    core, target = modelled_core(config), KernelTarget.of(config)
    found = model_layers(
        graph, bit_choices, target, core.mcpu, progress, equal_bits=equal_bits, batch=batch
    )
    return LayerTable(
        source="modelled",
        disturbed_share=0.0,
        overhead_us=0.0,
        times_us={
            layer: {pair: kernel.cycles / core.clock_mhz for pair, kernel in kernels.items()}
            for layer, kernels in found.items()
        },
        families={
            layer: {pair: kernel.family for pair, kernel in kernels.items()}
            for layer, kernels in found.items()
        },
    )
