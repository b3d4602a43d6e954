"""What is measured of a network's layers before a search: their tiles, then the layer table."""

from collections.abc import Sequence

from hardware.device import Device
from hardware.errors import BuildError
from hardware.layers.energy import with_energies
from hardware.layers.table import LayerTable
from hardware.layers.timing import bit_pairs
from hardware.progress import LabelledProgress
from hardware.tile_search.report import TileReport
from quant.deploy_graph import DeployGraph


def choose_tiles(
    device: Device,
    graph: DeployGraph,
    bit_choices: Sequence[int],
    progress: LabelledProgress | None = None,
    *,
    equal_bits: bool = False,
) -> TileReport:
    """Choose the register tiles of a network's layers by measuring; the device keeps the choices.

    Everything that is built afterwards has them, so this comes before the layer table.

    Args:
        device: Where to search.
        graph: The converted network; random codes stand in for its weights.
        bit_choices: The widths that may be chosen.
        progress: Called after each choice.
        equal_bits: Only the pairs of equal widths (see `measure_layer_table`).

    Returns:
        What was searched, and what the time limit left at the default.

    Raises:
        HardwareLostError: the device is gone.
    """
    pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
    with device.bench() as bench:
        return bench.search_tiles(graph, pairs, progress)


def digest_tiles(
    device: Device, graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
) -> str:
    """Return a digest of the tiles that the layers have at every pair of bit choices.

    With the identity of the network it says what a layer table depends on.

    Raises:
        HardwareLostError: the device is gone.
    """
    pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
    with device.bench() as bench:
        return bench.tiles(graph, pairs)


def measure_layer_table(
    device: Device,
    graph: DeployGraph,
    bit_choices: Sequence[int],
    progress: LabelledProgress | None = None,
    *,
    equal_bits: bool = False,
) -> LayerTable:
    """Measure every layer of a network at every pair of bit choices, and the rest as overhead.

    The graph's own codes are not used: times do not depend on the values, so random codes of
    each width stand in for trained ones.

    Args:
        device: Where to measure.
        graph: The converted network.
        bit_choices: The widths that may be chosen.
        progress: Called after each part.
        equal_bits: Only the pairs of equal widths (8-bit activations where a layer reads the
            network's input): a staircase, at a seventh of the time for seven widths.

    Raises:
        BuildError: a layer cannot be built at one of the bit pairs.
        HardwareLostError: the device is gone.
    """
    with device.bench() as bench:
        try:
            table = bench.time_layers(graph, bit_choices, progress, equal_bits=equal_bits)
            if not bench.energy_programs:
                return table
            return with_energies(
                table,
                graph,
                bit_choices,
                bench,
                bench.energy_programs,
                progress,
                equal_bits=equal_bits,
            )
        except BuildError as error:
            raise BuildError(f"{graph.network} has no layer table: {error}") from None
