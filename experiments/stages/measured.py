"""Measured: what the device says of a network before a search, and the budget made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from env.decisions.costs import cost_table
from env.decisions.decisions import DecisionSpace
from env.decisions.masks import BudgetMask
from env.errors import BudgetError
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import (
    DecidedBudget,
    UniformFigures,
    beside_all_8,
    decide_budget,
)
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.layers.float_layers import with_float_layers
from hardware.layers.table import LayerTable
from hardware.store import Store
from hardware.stored_device import StoredDevice
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.layers import FLOAT_BITS, MAX_BITS
from quant.network import QuantizedNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is measured before the first evaluation; no weights matter."""

    table: LayerTable
    decided: DecidedBudget


def graph_of(network: QuantizedNetwork, allocation: Allocation | None = None) -> DeployGraph:
    """Convert a network at an allocation, all-8-bit without one.

    Enough for timing, which depends on bits alone.
    """
    network.set_allocation(allocation or Allocation.uniform(network.layers, MAX_BITS))
    return convert(network)


def measure_device(
    setup: NetworkSetup,
    device: Device,
    store: Store,
    progress: LiveProgress,
) -> Measured:
    """Measure the layer table and the uniform allocations, and decide the budget.

    The layer table may come from the store; the uniform allocations, which the budget is made
    of, are timed now and beside each other.

    Raises:
        BudgetError: no allocation meets the budget; names the smallest reachable value.
        BuildError: a uniform allocation cannot be measured on this device.
        HardwareLostError: the device is gone.
    """
    table, uniform = measure_times(setup, device, store, progress)
    decided = decide_budget(setup.config.budget, uniform, setup.task.objective.metric)
    # Before anything is trained: a budget that nobody can meet is the user's to mend.
    try:
        BudgetMask(setup.space, cost_table(setup.space, table), decided.budget)
    except BudgetError as error:
        raise beside_all_8(error, uniform, decided.budget) from None
    return Measured(table=table, decided=decided)


def measure_times(
    setup: NetworkSetup,
    device: Device,
    store: Store,
    progress: LiveProgress,
) -> tuple[LayerTable, dict[int, UniformFigures]]:
    """Measure the layer table and the uniform allocations, `{bits: figures}`; no weights matter.

    Raises:
        BuildError: a uniform allocation cannot be measured on this device.
        HardwareLostError: the device is gone.
    """
    network, space = setup.network, setup.space
    table = StoredDevice(device, store, setup.config.protocol).layer_table(
        graph_of(network), setup.widths, partial(progress.stage, "layer table")
    )
    if kept := space.float_layers:
        all_8 = dict(Allocation.uniform(space.layers, MAX_BITS).items)
        in_float = {name: replace(all_8[name], weight_bits=FLOAT_BITS) for name in kept}
        beside = StoredDevice(device, store, setup.config.protocol).layer_table(
            graph_of(network, Allocation.of(all_8 | in_float)),
            [MAX_BITS],
            partial(progress.stage, "layers in float"),
        )
        table = with_float_layers(table, beside, kept)
    allocations = reference_and_uniforms(space)
    graphs = {bits: graph_of(network, one) for bits, one in allocations.items()}
    timed = time_side_by_side(
        device, graphs, table=table, progress=partial(progress.stage, "uniform allocations")
    )
    uniform = {
        bits: UniformFigures(
            latency_ms=measurement.median_ms,
            model_bytes=graphs[bits].weight_bytes(),
            energy_mj=measurement.energy_mj,
            stable=measurement.verdict.stable or measurement.source == "emulated",
            predicted_ms=table.predict_ms(allocations[bits]),
        )
        for bits, measurement in timed.items()
    }
    return anchor_table(table, allocations, uniform), uniform


def reference_and_uniforms(space: DecisionSpace) -> dict[int, Allocation]:
    """Return all-8, which everything is compared with, and the uniform allocations by bits.

    Rules for single layers hold for the uniform ones: where they leave a layer no such width, it
    has the nearest. They do not hold for all-8.
    """
    all_8 = {MAX_BITS: Allocation.uniform(space.layers, MAX_BITS)}
    return all_8 | {bits: one for bits, one in space.uniforms().items() if bits != MAX_BITS}


def anchor_table(
    table: LayerTable,
    allocations: Mapping[int, Allocation],
    uniform: Mapping[int, UniformFigures],
) -> LayerTable:
    """Scale the table so that it predicts what the cheapest uniform allocation takes now.

    That is the fastest for times, and the one that takes least for energies.
    Table and programs may have been timed while the machine ran at different speeds, and budgets
    are made of the programs: unscaled, a budget that was just seen to be reachable could look
    impossible.
    """
    fastest = min(uniform, key=lambda bits: uniform[bits].latency_ms)
    predicted_ms = table.predict_ms(allocations[fastest])
    table = table.scale_times(uniform[fastest].latency_ms / predicted_ms)
    energies = {bits: item.energy_mj for bits, item in uniform.items() if item.energy_mj}
    if not energies:
        return table
    frugal = min(energies, key=lambda bits: energies[bits])
    predicted_mj = table.predict_mj(allocations[frugal])
    assert predicted_mj is not None
    return table.with_scaled_energies(energies[frugal] / predicted_mj)
