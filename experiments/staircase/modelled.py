"""A staircase of a board that nobody has here: LLVM's model of its core in place of a clock."""

from collections.abc import Sequence

from experiments.staircase.layer_steps import LayerSteps, layer_steps
from experiments.staircase.staircase import Staircase
from hardware.measuring.protocol import ProtocolConfig
from hardware.modelled.cores import core_title, modelled_core
from hardware.modelled.layer_table import model_layer_table
from hardware.progress import LabelledProgress
from hardware.target import TargetConfig
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS


def model_staircase(
    config: TargetConfig,
    graphs: Sequence[DeployGraph],
    widths: Sequence[int],
    protocol: ProtocolConfig,
    *,
    what: str,
    all_pairs: bool,
    progress: LabelledProgress | None = None,
) -> Staircase:
    """Model every layer of some graphs; the times are modelled cycles at the board's clock.

    Args:
        config: Names the board.
        graphs: One network, or several single layers.
        widths: Bit-widths; 8 is always among them.
        protocol: Gives the batch size.
        what: Name of the network or of the list of shapes.
        all_pairs: Also the pairs of unequal widths.
        progress: Called with what is done of the current graph, and its name.

    Raises:
        TargetError: no board is named, or its core has no model.
        ToolchainError: LLVM's tools are missing.
    """
    core = modelled_core(config)
    widths = sorted({*widths, MAX_BITS}, reverse=True)
    layers: list[LayerSteps] = []
    for graph in graphs:
        table = model_layer_table(
            config, graph, widths, progress, equal_bits=not all_pairs, batch=protocol.batch
        )
        layers += layer_steps(graph, table, protocol.batch)
    assert config.board != "none"
    return Staircase(
        what=what,
        device=core_title(config.board),
        source="modelled",
        machine={"modelled_core": core.mcpu, "clock_mhz": core.clock_mhz},
        protocol=protocol,
        widths=tuple(widths),
        layers=tuple(layers),
        overhead_us=None,
        disturbed_share=0.0,
    )
