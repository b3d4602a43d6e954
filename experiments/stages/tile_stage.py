"""The stage before the layer table: choosing tiles, shown and said."""

from collections.abc import Sequence

from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.measure_layers import choose_tiles
from hardware.tiles.report import TileReport
from quant.deploy_graph import DeployGraph

__all__ = ["tune_tiles"]


def tune_tiles(
    device: Device,
    graph: DeployGraph,
    widths: Sequence[int],
    progress: LiveProgress,
    *,
    equal_bits: bool = False,
    stage: str = "tiles",
) -> TileReport:
    """Let a device choose the tiles of a network's layers, with a progress bar.

    Args:
        device: Where to search; keeps its choices itself.
        graph: The converted network.
        widths: Bit-widths that may be chosen.
        progress: Where the stage is shown.
        equal_bits: Only pairs of equal widths.
        stage: Name of the stage.

    Raises:
        HardwareLostError: the device is gone.
    """
    return choose_tiles(
        device,
        graph,
        widths,
        lambda done, total, what: progress.stage(stage, done, total, what),
        equal_bits=equal_bits,
    )
