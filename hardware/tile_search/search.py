"""The tile search: the fastest register tiles of a network's layers, found by measuring.

Layers of equal shape and family share one search. Each compiles the few ways that promise most,
checks that they compute the same, and times them in interleaved rounds. First the families of all
layers are chosen, where several are exact, then the schedules of those; the largest layers come
first. What the time limit leaves out keeps the default.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from hardware.errors import BuildError
from hardware.graph.borders import with_borders
from hardware.graph.random_codes import layer_alone
from hardware.graph.tensor_widths import BitPair
from hardware.measuring.lock import timing_lock
from hardware.progress import LabelledProgress
from hardware.tile_search.report import TileReport
from hardware.wire.tile_task import TileTask
from quant.deploy_graph import DeployGraph

_SEED = 0


class TileBench(Protocol):
    """What the search needs of the place where programs run."""

    def tile_tasks(
        self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]
    ) -> list[TileTask]:
        """Return the searches of a network, one for each choice that its layers need."""

    def compile_tiles(self, part: DeployGraph) -> None:
        """Compile and check the schedules worth measuring for one layer."""

    def time_tiles(self) -> bool:
        """Time what was compiled last and keep the fastest; return whether it is a new tile."""


def search_tiles(
    graph: DeployGraph,
    pairs: Mapping[str, Sequence[BitPair]],
    bench: TileBench,
    limit_s: float,
    progress: LabelledProgress | None = None,
    *,
    lock: Callable[[], AbstractContextManager[None]] = timing_lock,
    clock: Callable[[], float] = time.monotonic,
) -> TileReport:
    """Search the tiles of one network; choices that are on the disk are not searched again.

    Args:
        graph: The converted network; random codes stand in for its weights.
        pairs: `{layer: bit pairs}` that the layers may have.
        bench: Compiles and times.
        limit_s: No search begins that would probably end later than this many seconds from now,
            those left out in which it waits for the trainings of this machine.
        progress: Called after each search.
        lock: Held while something is timed.
        clock: Seconds, for tests.
    """
    graph = with_borders(graph)
    started = clock()
    tasks = bench.tile_tasks(graph, pairs)
    report = TileReport(known=sum(task.known for task in tasks), limit_s=limit_s)
    tried: list[TileTask] = []
    longest_s = waited_s = 0.0
    while waiting := [task for task in tasks if not task.known and task not in tried]:
        begun = clock() - waited_s
        if begun - started + longest_s >= limit_s:
            report = replace(report, left=len(waiting))
            break
        task = max(waiting, key=lambda one: one.weight)
        tried.append(task)
        try:
            bench.compile_tiles(layer_alone(graph, task.layer, task.pair, _SEED))
            asked = clock()
            # Compiling may run beside a training; a timing must not.
            with lock():
                waited_s += clock() - asked
                changed = bench.time_tiles()
            report = replace(report, searched=report.searched + 1, changed=report.changed + changed)
        except BuildError as error:
            report = replace(report, failed=(*report.failed, f"{task.what}: {error}"))
        longest_s = max(longest_s, clock() - waited_s - begun)
        if len(waiting) == 1:
            tasks = bench.tile_tasks(graph, pairs)
        if progress is not None:
            progress(len(tried), len(tried) + len(waiting) - 1, task.what)
    return replace(report, seconds=clock() - started)
