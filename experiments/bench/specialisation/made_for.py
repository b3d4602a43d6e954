"""Made for: a view's layer table and budget, and the allocation that loses least inside it."""

from dataclasses import dataclass
from functools import partial

from agents.solvers.cost_model import Losses, choices_within
from agents.solvers.exact import solve_exact
from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.decisions.costs import UNITS_PER_US, cost_table
from env.decisions.decisions import DecisionSpace
from env.errors import BudgetError
from experiments.bench.specialisation.deployed import measure_deployed
from experiments.bench.specialisation.views import View
from experiments.errors import BenchError
from experiments.stages.measured import graph_of, measure_times, reference_and_uniforms
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import (
    ALL_8,
    DecidedBudget,
    UniformFigures,
    buy_time,
    latency_between,
)
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.layers.table import LayerTable
from hardware.measure_layers import choose_tiles
from hardware.measuring.measurement import MeasurementSource
from hardware.modelled.cores import core_title
from hardware.modelled.layer_table import model_layer_table
from hardware.store import Store
from quant.allocation import Allocation

_ATTEMPTS = 3
"""Answers that are timed: one beyond its budget tells by how much programs exceed the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFor:
    """One view's prices of a network's bits, and the best allocation by them."""

    view: View
    device: str
    """For people."""
    source: MeasurementSource
    table: LayerTable
    decided: DecidedBudget
    """The budget; where it is measured it moves with what is timed beside the candidates."""
    saves: float
    """Share of all-8's time that the fastest uniform allocation saves."""
    allocation: Allocation


def measure_made_for(
    view: View,
    device: Device,
    setup: NetworkSetup,
    losses: Losses,
    share: float,
    store: Store,
    progress: LiveProgress,
) -> MadeFor:
    """Measure a view's prices and solve for its best allocation.

    An answer that turns out slower than its budget, as whole programs are timed, is solved for
    again under a limit that is tighter by as much; the last resort is the fastest uniform
    allocation.

    Args:
        view: What prices bits.
        device: The view's.
        setup: The network.
        losses: What every choice loses.
        share: The budget (see `decide`).
        store: Keeps layer tables.
        progress: Shows what takes long.

    Raises:
        BudgetError: no allocation is inside the budget.
        BuildError: a layer or a program cannot be measured.
        HardwareLostError: the device is gone.
    """
    graph, widths = graph_of(setup.network), setup.widths
    choose_tiles(device, graph, widths, partial(progress.stage, f"{view.name}: tiles"))
    table, uniform = measure_times(setup, device, store, progress)
    decided = decide(uniform, share)
    best = best_inside(setup.space, losses, table, limit_of(setup.space, table, decided))
    best = _found(best, view, decided)
    return MadeFor(
        view=view,
        device=device.name,
        source=device.source,
        table=table,
        decided=decided,
        saves=_saves(uniform),
        allocation=_timed_inside(best, device, setup, losses, table, decided),
    )


def model_made_for(
    view: View, setup: NetworkSetup, losses: Losses, share: float, progress: LiveProgress
) -> MadeFor:
    """Do the same for a modelled board, by its table alone.

    Raises:
        BenchError: a layer is left in float, which is not modelled.
        BudgetError: no allocation is inside the budget.
        BuildError: a layer has no kernel.
        ToolchainError: LLVM's tools failed.
    """
    space = setup.space
    if space.float_layers:
        raise BenchError(
            f"{view.name}: layers in float are not modelled, found {space.float_layers[0]}",
            "leave the modelled boards out of --views",
        )
    table = model_layer_table(
        view.target,
        graph_of(setup.network),
        setup.widths,
        lambda done, total, name: progress.stage(view.title, done, total, name),
        batch=setup.config.protocol.batch,
    )
    uniform = {
        bits: UniformFigures(latency_ms=table.predict_ms(one), model_bytes=0)
        for bits, one in reference_and_uniforms(space).items()
    }
    decided, board = decide(uniform, share), view.target.board
    assert board != "none"
    best = best_inside(space, losses, table, limit_of(space, table, decided))
    return MadeFor(
        view=view,
        device=core_title(board),
        source=table.source,
        table=table,
        decided=decided,
        saves=_saves(uniform),
        allocation=_found(best, view, decided),
    )


def _timed_inside(
    best: Allocation,
    device: Device,
    setup: NetworkSetup,
    losses: Losses,
    table: LayerTable,
    decided: DecidedBudget,
) -> Allocation:
    """Return an answer that keeps its budget as a whole program."""
    tried: Allocation | None = best
    for _ in range(_ATTEMPTS):
        if tried is None:
            break
        timed = measure_deployed(device, setup, [tried], decided, table)
        beyond = timed.times_ms[tried] / timed.limit_ms
        if beyond <= 1.0 + MEASURED_TOLERANCE:
            return tried
        tried = best_inside(setup.space, losses, table, table.predict_ms(tried) / beyond)
    return min(setup.space.uniforms().values(), key=table.predict_ms)


def decide(uniform: dict[int, UniformFigures], share: float) -> DecidedBudget:
    """Return the budget so far on the way from the fastest uniform allocation's time to all-8's.

    Where bits buy less time than timings repeat to, it is all-8's time.
    """
    return latency_between(uniform, share if buy_time(uniform) else 1.0)


def limit_of(space: DecisionSpace, table: LayerTable, decided: DecidedBudget) -> float:
    """Return the milliseconds that a budget of shares is by a table's own sums.

    Programs take a little more or less than their sums: a limit that was measured would be another
    share of the way by the table, and all-8 could miss its own time.
    """
    known, costs = reference_and_uniforms(space), cost_table(space, table)
    shares = decided.latency_shares.items()
    picoseconds = sum(share * float(costs.total(known[bits])[0]) for bits, share in shares)
    return picoseconds / UNITS_PER_US / 1000.0


def best_inside(
    space: DecisionSpace, losses: Losses, table: LayerTable, limit_ms: float
) -> Allocation | None:
    """Return the allocation that loses least in a time, by the table; None where none is inside."""
    limit = Budget(latency_ms=limit_ms)
    problem = choices_within(space, losses, cost_table(space, table), limit)
    picks = solve_exact(problem)
    return None if picks is None else problem.allocation(picks)


def _saves(uniform: dict[int, UniformFigures]) -> float:
    fastest_ms = min(figures.latency_ms for figures in uniform.values())
    return 1.0 - fastest_ms / uniform[ALL_8].latency_ms


def _found(allocation: Allocation | None, view: View, decided: DecidedBudget) -> Allocation:
    if allocation is None:
        raise BudgetError(
            f"{view.name}: no allocation is inside {decided.budget}, {decided.reason}",
            "a larger --share has one",
        )
    return allocation
