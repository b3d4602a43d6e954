"""Table check: the layer table's predictions against the measured times of random allocations."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import model_serializer
from rich import box
from rich.console import Group
from rich.table import Table

from experiments.bench.allocations import random_allocations
from experiments.bench.network import load_bench_network
from experiments.bench.standard_networks import NetworkName
from experiments.settings.run_config import RunConfig
from experiments.stages.measured import graph_of
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from hardware.layers.table import LayerTable
from hardware.measure_layers import choose_tiles, measure_layer_table
from hardware.open_device import open_device
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.json_form import Plain

_ALLOCATIONS = 20
_TOLERANCE = 0.05
"""A prediction within this share of the measured time counts as right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One allocation's time, from the table and measured."""

    allocation: Allocation
    predicted_ms: float
    measured_ms: float
    stable: bool

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_ms / self.measured_ms - 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCheck:
    """A layer table and what it predicts."""

    device: str
    table: LayerTable
    predictions: tuple[Prediction, ...]

    @property
    def right(self) -> int:
        """How many predictions are within the tolerance."""
        return sum(abs(prediction.error) <= _TOLERANCE for prediction in self.predictions)

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        document = plain(self)
        predictions = {"predictions": document.pop("predictions")}
        return {**document, "tolerance": _TOLERANCE, "right": self.right, **predictions}


def check_table(config: RunConfig, network_name: NetworkName | None = None) -> TableCheck:
    """Measure the layer table, then random allocations in interleaved rounds.

    Args:
        config: Target, protocol, task and seed.
        network_name: See `load_bench_network`.
    """
    device = open_device(config.device_target, config.protocol)
    try:
        with LiveProgress(quiet=config.quiet) as progress:
            network = load_bench_network(network_name, config, progress).network
            graph = graph_of(network)
            widths = range(MIN_BITS, MAX_BITS + 1)
            choose_tiles(device, graph, widths, partial(progress.stage, "tiles"))
            table = measure_layer_table(
                device,
                graph,
                widths,
                partial(progress.stage, "layer table"),
            )
            graphs = {
                allocation: graph_of(network, allocation)
                for allocation in random_allocations(network.layers, _ALLOCATIONS, config.seed)
            }
            measured = time_side_by_side(
                device,
                graphs,
                progress=partial(progress.stage, "measuring"),
            )
        predictions = tuple(
            Prediction(
                allocation=allocation,
                predicted_ms=table.predict_ms(allocation),
                measured_ms=measurement.median_ms,
                stable=measurement.verdict.stable,
            )
            for allocation, measurement in measured.items()
        )
        return TableCheck(device=device.name, table=table, predictions=predictions)
    finally:
        device.close()


def draw_table_check(check: TableCheck) -> Group:
    """Draw the layer table at equal bits, and one line for each random allocation."""
    return Group(_draw_layers(check.table), _draw_predictions(check))


def _draw_layers(layer_table: LayerTable) -> Table:
    table = Table(
        box=box.SIMPLE,
        caption=f"microseconds, {layer_table.source}, at equal weight and activation bits (8-bit "
        f"activations where a layer reads the input); {layer_table.disturbed_share:.0%} of the "
        "timings were disturbed by other programs",
        caption_justify="left",
    )
    table.add_column("layer", no_wrap=True)
    widths = range(MIN_BITS, MAX_BITS + 1)
    for bits in widths:
        table.add_column(f"{bits} bits", justify="right", no_wrap=True)
    for layer, row in layer_table.times_us.items():
        cells = [row.get((bits, bits), row.get((bits, MAX_BITS))) for bits in widths]
        table.add_row(layer, *("-" if cell is None else f"{cell:.2f}" for cell in cells))
    overhead = f"{layer_table.overhead_us:.2f}"
    table.add_row("everything else", *[overhead] * len(widths))
    return table


def _draw_predictions(check: TableCheck) -> Table:
    table = Table(
        box=box.SIMPLE,
        caption=f"{check.device}, {check.table.source}; {check.right} of "
        f"{len(check.predictions)} predictions within {_TOLERANCE:.0%}; * unstable",
        caption_justify="left",
    )
    table.add_column("bits (weights/activations)", no_wrap=True)
    for name in ("predicted ms", "measured ms", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    for prediction in check.predictions:
        bits = " ".join(
            f"{item.weight_bits}/{item.activation_bits}" for _, item in prediction.allocation.items
        )
        table.add_row(
            bits,
            f"{prediction.predicted_ms:.4f}",
            f"{prediction.measured_ms:.4f}" + ("" if prediction.stable else "*"),
            f"{prediction.error:+.1%}",
        )
    return table
