"""Pack: rows become a table of truth, with times that are measured now, and the weights beside."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from experiments.stages.measured import graph_of
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from experiments.truth.row_file import Rows, check_subject
from experiments.truth.subspace import Subspace
from experiments.truth.table import Times, TruthTable, read_table, table_of
from experiments.truth.weights import write_weights_beside
from hardware.device import Device
from hardware.measure_layers import choose_tiles, measure_layer_table
from hardware.measuring.host_facts import standing_facts
from hardware.open_device import open_device
from hardware.target import DOT_PRODUCT, TargetConfig
from quant.records.progress import Progress

_MEASURED = 10
"""Of so many allocations, one whole program is timed."""
_SEED = 0
_BESIDE = 8
"""Programs that are timed beside each other."""


def pack(setup: NetworkSetup, rows: Rows, path: Path, progress: LiveProgress) -> TruthTable:
    """Write the table and the float network's weights, with times that are measured now.

    Of a table of the same rows that is there already the times are kept.

    Args:
        setup: The network of the rows.
        rows: Everything that was retrained.
        path: Of the table; the weights get the same name with another ending.
        progress: Shows the timing.

    Raises:
        DataError: rows are missing, or something else is there.
        BuildError: a program cannot be measured.
        HardwareLostError: the device is gone.
    """
    before = read_table(path).header if path.exists() else None
    if before is not None:
        check_subject(before.subject, rows.subject, str(path))
    times = before.times if before is not None else _views(setup, progress)
    table = table_of(rows, setup.network.layers, times)
    table.check()
    table.save(path)
    write_weights_beside(setup.module, path)
    return table


def _views(setup: NetworkSetup, progress: LiveProgress) -> list[Times]:
    """Measure without dot products first, which is what budgets are made of, then as the CPU is."""
    target = setup.config.device_target
    plain = _view(setup, replace(target, dot_product=False), "without dot products", progress)
    whole = _view(setup, target, "as the CPU allows", progress)
    families = {name for row in whole.table.families.values() for name in row.values()}
    dot = any(name.startswith(family) for name in families for family in DOT_PRODUCT)
    return [plain, whole] if dot else [plain]


def _view(setup: NetworkSetup, target: TargetConfig, view: str, progress: LiveProgress) -> Times:
    graph, widths = graph_of(setup.network), setup.widths
    with closing(open_device(target, setup.config.protocol)) as device:
        choose_tiles(device, graph, widths, partial(progress.stage, f"tiles, {view}"))
        table = measure_layer_table(
            device, graph, widths, partial(progress.stage, f"layer table, {view}")
        )
        measured = _measure_some(setup, device, partial(progress.stage, f"programs, {view}"))
    return Times(view=view, cpu=standing_facts()["cpu"], table=table, measured_ms=measured)


def _measure_some(setup: NetworkSetup, device: Device, progress: Progress) -> dict[str, float]:
    """Time whole programs of some allocations, each beside all-8 and a few others."""
    subspace = Subspace(space=setup.space)
    draw = np.random.default_rng(_SEED)
    count = max(1, len(subspace) // _MEASURED)
    chosen = sorted(draw.choice(len(subspace), count, replace=False).tolist())
    network, found = setup.network.clone(), dict[str, float]()
    for first in range(0, count, _BESIDE):
        together = chosen[first : first + _BESIDE]
        graphs = {n: graph_of(network, setup.space.allocation(subspace.bits(n))) for n in together}
        timed = time_side_by_side(device, graphs, rounds=1)
        found |= {str(name): timing.median_ms for name, timing in timed.items()}
        progress(first + len(together), count)
    return found
