"""Deployed: what allocations take on one view, beside the budget there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from experiments.stages.measured import graph_of, reference_and_uniforms
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import ALL_8, DecidedBudget
from experiments.stages.side_by_side import time_side_by_side
from hardware.device import Device
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.records.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """Times of allocations on one view."""

    limit_ms: float
    """The budget, as the uniform allocations that it is made of were timed beside the others."""
    times_ms: Mapping[Allocation, float]
    unstable: frozenset[Allocation] = frozenset()
    """Those that a busy machine left without a stable measurement."""


def measure_deployed(
    device: Device,
    setup: NetworkSetup,
    allocations: Collection[Allocation],
    decided: DecidedBudget,
    table: LayerTable,
    progress: Progress | None = None,
) -> Deployed:
    """Time whole programs side by side, all-8 and those that the budget is made of among them.

    Args:
        device: Where to measure.
        setup: The network.
        allocations: What is deployed.
        decided: The budget; its limit moves with the speed of the machine.
        table: What measurements are held against.
        progress: Called with (measurements done, measurements in all).

    Raises:
        BuildError: a program cannot be measured.
        HardwareLostError: the device is gone.
    """
    known = reference_and_uniforms(setup.space)
    references = {bits: known[bits] for bits in decided.latency_shares}
    wanted = dict.fromkeys([*allocations, known[ALL_8], *references.values()])
    graphs = {one: graph_of(setup.network, one) for one in wanted}
    timed = time_side_by_side(device, graphs, table=table, progress=progress)
    limit_ms = decided.beside({bits: timed[one] for bits, one in references.items()}).latency_ms
    assert limit_ms is not None
    return Deployed(
        limit_ms=limit_ms,
        times_ms={one: measurement.median_ms for one, measurement in timed.items()},
        unstable=frozenset(one for one, found in timed.items() if not found.verdict.stable),
    )


def predict_deployed(
    setup: NetworkSetup,
    allocations: Collection[Allocation],
    decided: DecidedBudget,
    table: LayerTable,
) -> Deployed:
    """Return what a table says instead, all-8 among them, where no program can run."""
    limit_ms = decided.budget.latency_ms
    assert limit_ms is not None
    known = [*allocations, reference_and_uniforms(setup.space)[ALL_8]]
    return Deployed(limit_ms=limit_ms, times_ms={one: table.predict_ms(one) for one in known})
