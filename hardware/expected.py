"""Expected: what a layer table says of a program, and a measurement held against it."""

from hardware.device import Device, MeasureResult
from hardware.layers.table import LayerTable
from hardware.measuring.believed import check_near, twice
from hardware.measuring.measurement import Measurement
from quant.deploy_graph import DeployGraph
from quant.layers import FLOAT_BITS


def measure_expected(device: Device, graph: DeployGraph, table: LayerTable | None) -> MeasureResult:
    """Measure a candidate; once more where the table expected nothing like what was found.

    Without a table nothing is expected.

    Raises:
        HardwareLostError: the device is gone.
        UnbelievableError: it is more than twenty times off, twice in a row.
    """

    def take() -> MeasureResult:
        result = device.measure(graph)
        if table is not None and result.measurement is not None:
            check_expected(result.measurement, graph, table)
        return result

    return twice(take)


def check_expected(measurement: Measurement, graph: DeployGraph, table: LayerTable) -> None:
    """Refuse a measurement that the table expected nothing like.

    Raises:
        UnbelievableError: it is more than twenty times off.
    """
    expected_ms = _expected_ms(graph, table)
    if expected_ms is not None and expected_ms > 0:
        check_near(measurement.median_ms, expected_ms, graph.network)


def _expected_ms(graph: DeployGraph, table: LayerTable) -> float | None:
    """Return a table's sum for a graph at its own bits; None where it lacks one of the layers."""
    pairs = {op.layer: op.pair for op in graph.decided_ops()}
    total_us = table.overhead_us
    for layer, row in table.times_us.items():
        in_float = (time_us for pair, time_us in row.items() if pair[0] == FLOAT_BITS)
        known_us = row.get(pairs.pop(layer)) if layer in pairs else next(in_float, None)
        if known_us is None:
            return None
        total_us += known_us
    return None if pairs else total_us / 1000.0
