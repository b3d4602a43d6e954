"""Workbench: plans, compiles, assembles, checks and times programs inside the worker process."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tvm

from hardware.errors import BuildError
from hardware.facts import MachineFacts
from hardware.graph.agreement import describe_program_difference, fixed_input
from hardware.graph.borders import with_borders
from hardware.graph.island_times import island_times
from hardware.graph.tensor_widths import BitPair
from hardware.kernels.compiling.cache import KernelCache
from hardware.kernels.compiling.compile_pool import CompileReport, compile_kernels
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.context import ChooseFamily, PlanContext
from hardware.kernels.planning.islands import with_islands
from hardware.kernels.planning.plan_step import plan_step
from hardware.kernels.schedule.schedule import make_schedule
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import RulerReading, read_ruler_us, settle
from hardware.measuring.timing import Timing, time_program
from hardware.runtime.returned import Returned, joined
from hardware.target import TargetConfig
from hardware.wire.built import Built
from hardware.wire.returned import output_tensors, returned_parts
from hardware.wire.tile_task import TileTask
from hardware.worker.program.cross_link import find_cross_linker
from hardware.worker.program.linking import Link, link_program
from hardware.worker.program.planned import PlannedGraph
from hardware.worker.program.program import Runnable, assemble
from hardware.worker.program.stamps import Stamps
from hardware.worker.tiles.choices import TileChoices
from hardware.worker.tiles.layers import tile_tasks, tiles_digest
from hardware.worker.tiles.rotation import Rotation, copies_of
from hardware.worker.tiles.trial import TileTrial, Way
from quant.deploy_graph import Conv2d, DeployGraph, Linear, MatMul, RunIsland
from quant.records.progress import Progress

T = TypeVar("T")

_STAMPED = 128
"""Most executions whose steps are stamped in one timing."""

TakeSteps = Callable[[int], npt.NDArray[np.float64]]
"""`(executions)` to microseconds `[executions, steps]`."""

Identity = tuple[tuple[str, tuple[tuple[tuple[int, ...], str], ...]], ...]
"""`((symbol, ((constant shape, dtype), ...)), ...)`: programs of equal identity take equal time."""


class Workbench:
    """Holds the kernel cache and the program that was built last."""

    def __init__(self, config: TargetConfig, batch: int) -> None:
        """Open the kernel cache for one target and batch size."""
        self._target = KernelTarget.of(config)
        if config.threads > 1 and not config.remote:
            # Mode 1: the threads stay on the fast cores, where a board has two kinds.
            tvm.get_global_func("runtime.config_threadpool")(1, config.threads)
        self._cache = KernelCache(config)
        self._tiles = TileChoices(config)
        self._schedule = self._tiles.schedule if config.tune_s > 0 else make_schedule
        self._family: ChooseFamily = self._tiles.family if config.tune_s > 0 else choose_family
        self._trial: TileTrial | None = None
        self._batch = batch
        self._link: Link | None = None
        self._program: Runnable | None = None

    @property
    def program(self) -> Runnable:
        """The program that was built last.

        Raises:
            BuildError: nothing is built yet.
        """
        if self._program is None:
            raise BuildError("nothing is built yet, so there is nothing to run")
        return self._program

    @property
    def family_of(self) -> ChooseFamily:
        """What gives a layer its family: the rule, or what the tile search found."""
        return self._family

    def facts(self) -> MachineFacts:
        """Return what only the process that loaded TVM knows."""
        facts: MachineFacts = {
            "llvm": int(tvm.get_global_func("target.llvm_version_major")()),
            "target": str(self._target.tvm_target()),
        }
        if self._target.amx:
            facts["amx"] = self._target.amx
        return facts

    def identity(self, graph: DeployGraph) -> Identity:
        """Return what decides the time of a program, without compiling anything."""
        return tuple(
            (plan.symbol, tuple((array.shape, str(array.dtype)) for array in plan.constants))
            for plan in self._plan(self._ready(graph)).plans
        )

    def build(self, graph: DeployGraph, check: bool = True) -> Built:
        """Make a graph the current program, and compare its result with the integer reference.

        Raises:
            BuildError: an operator has no kernel, or the result is wrong.
        """
        started = time.perf_counter()
        self._program = None
        planned = self._plan(self._ready(graph))
        program = self._assemble(planned)
        built = time.perf_counter()
        wrong_kernels: list[str] = []
        if check and (wrong := self._wrong(graph, program)):
            wrong_kernels = self._cache.compile_again(planned.plans)
            program = self._assemble(planned)
            if not wrong_kernels or (wrong := self._wrong(graph, program)):
                raise BuildError(wrong)
        self._program = program
        families = {
            step.op.layer: plan.family
            for step, plan in planned.calls
            if isinstance(step.op, Conv2d | Linear | MatMul)
        }
        return Built(
            build_s=built - started,
            check_s=time.perf_counter() - built,
            families=families,
            wrong_kernels=tuple(wrong_kernels),
        )

    def time(
        self, protocol: ProtocolConfig, best_us: float, patience_s: float
    ) -> tuple[Timing, RulerReading]:
        """Time the current program, once the machine is about as fast as it was at its best.

        Args:
            protocol: How to time.
            best_us: The shortest ruler this device has seen; infinity before the first.
            patience_s: Longest wait for a disturbed machine.
        """
        if self._program is None:
            raise BuildError("nothing is built yet, so there is nothing to time")
        repeats = self._program.time_repeats
        return self._time_with_ruler(lambda: time_program(repeats, protocol), best_us, patience_s)

    def time_layers(
        self, graph: DeployGraph, protocol: ProtocolConfig, best_us: float, patience_s: float
    ) -> tuple[tuple[Timing, dict[str, float]], RulerReading]:
        """Time a graph as a whole, and every layer where it runs in it.

        Args:
            graph: The converted network.
            protocol: How to time.
            best_us: See `time`.
            patience_s: See `time`.

        Returns:
            The whole program's timing and each layer's and island's median microseconds; and the
            ruler.
        """
        graph = self._ready(graph)
        planned = self._plan(graph)
        called = [step for step, _ in planned.calls]
        stamps = Stamps.of(self._context(graph), len(called), _STAMPED)
        program, stamp = self._assemble_stamped(planned, stamps)

        def work() -> tuple[Timing, dict[str, float]]:
            timing = time_program(program.time_repeats, protocol)
            one_ms = float(np.median(timing.values_ms))
            wanted = math.ceil(protocol.repeats * protocol.min_repeat_ms / one_ms)
            medians = np.median(stamp(max(protocol.repeats, min(wanted, _STAMPED))), axis=0)
            layers = {
                step.op.layer: float(taken_us)
                for step, taken_us in zip(called, medians, strict=True)
                if isinstance(step.op, Conv2d | Linear | MatMul)
            }
            return timing, layers | island_times(called, medians)

        return self._time_with_ruler(work, best_us, patience_s)

    def execute(self, loops: int) -> None:
        """Run the current program `loops` times, one after the other, on its last input.

        Raises:
            BuildError: nothing is built yet.
        """
        self.program.time_repeats(loops, 1)

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run a graph on any number of images, in executions of the target's batch size.

        Args:
            graph: The converted network.
            x: float32 `[N, C, H, W]` or `[N, F]`; a last incomplete batch is filled up with zeros.

        Returns:
            What the network returns, float32 `[N, ...]`.
        """
        self.build(graph, check=False)
        program = self.program
        if x.ndim == 3:  # sequences are images of one row
            x = x[:, :, None, :]
        parts = []
        for start in range(0, max(1, len(x)), self._batch):
            images = x[start : start + self._batch]
            missing = self._batch - len(images)
            padded = np.concatenate([images, np.zeros((missing, *x.shape[1:]), x.dtype)])
            tensors = output_tensors(graph, program.run(padded), program.value)
            found = returned_parts(graph, tensors)
            parts.append([output[: len(images)].astype(np.float32) for output in found])
        return joined(parts)

    def compile_kernels(
        self,
        graphs: Iterable[DeployGraph],
        processes: int,
        progress: Progress | None = None,
    ) -> CompileReport:
        """Compile the kernels of many candidates that the cache lacks (see `compile_kernels`)."""
        plans = (plan for graph in graphs for plan in self._plan(self._ready(graph)).plans)
        return compile_kernels(plans, self._cache, self._target, processes, progress)

    def link(self, graph: DeployGraph, file: Path) -> None:
        """Write a graph as one shared library, which `hardware.runtime.linked` loads.

        Raises:
            BuildError: an operator has no kernel, or the library cannot be linked.
        """
        planned = self._plan(self._ready(graph))
        objects = self._cache.objects(planned.plans)
        link_program(planned, objects, file, batch=self._batch, link=self._link)

    def link_outside(self, graph: DeployGraph, file: Path) -> list[tuple[npt.NDArray[Any], str]]:
        """Write a graph as a shared library without its constants.

        Returns:
            Each constant that `LinkedProgram` then wants, with the family of its kernel.

        Raises:
            BuildError: an operator has no kernel, or the library cannot be linked.
            ToolchainError: nothing here links for the target.
        """
        planned = self._plan(self._ready(graph))
        objects = self._cache.objects(planned.plans)
        link = None if self._target.native else find_cross_linker(self._target.mtriple)
        outside: list[npt.NDArray[Any]] = []
        link_program(planned, objects, file, batch=self._batch, link=link, outside=outside)
        families = [plan.family for plan in planned.plans for _ in plan.constants]
        return list(zip(outside, families, strict=True))

    def tile_tasks(
        self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]
    ) -> list[TileTask]:
        """Return the tile searches of a network, one for each choice that its layers need."""
        return tile_tasks(self._context(self._ready(graph)), pairs, self._tiles)

    def tiles(self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]) -> str:
        """Return a digest of families and schedules of a network's layers at their bit pairs."""
        return tiles_digest(self._context(self._ready(graph)), pairs)

    def compile_tiles(self, part: DeployGraph) -> None:
        """Compile the schedules worth measuring for one layer, and check that they agree.

        Raises:
            BuildError: one of them cannot be compiled, or is wrong.
        """
        part = with_borders(part)

        def make_programs(ways: Sequence[Way]) -> list[Runnable]:
            return [self._assemble_alone(self._plan(part, way)) for way in ways]

        self._trial = None
        self._trial = TileTrial.of(part, self._context(part), self._tiles, make_programs)

    def time_tiles(self) -> bool:
        """Time what `compile_tiles` compiled and keep the fastest.

        Returns:
            Whether it is another schedule than the default.
        """
        if self._trial is None:
            raise BuildError("nothing is compiled yet, so no tile can be chosen")
        trial, self._trial = self._trial, None
        return trial.decide(self._tiles, self._read_ruler_us)

    def _ready(self, graph: DeployGraph) -> DeployGraph:
        """Return a graph with the borders and the compiled islands that a program has."""
        return with_borders(with_islands(graph, self._batch, self._target))

    def _wrong(self, graph: DeployGraph, program: Runnable) -> str:
        """Compare a program with the integer reference; return what differs, in one sentence."""
        x = fixed_input(graph, self._batch)
        found = output_tensors(graph, program.run(x), program.value)
        islands = [op.output for op in graph.ops if isinstance(op, RunIsland)]
        made = {name: program.value(name) for name in islands}
        return describe_program_difference(graph, x, found, made)

    def _context(self, graph: DeployGraph, way: Way | None = None) -> PlanContext:
        """Return the context of a graph, of which all layers are computed in one way if given."""
        return PlanContext(
            graph=graph,
            batch=self._batch,
            target=self._target,
            schedule=self._schedule if way is None else lambda *_: way.schedule,
            family=self._family if way is None else lambda *_: way.family,
        )

    def _plan(self, graph: DeployGraph, way: Way | None = None) -> PlannedGraph:
        context = self._context(graph, way)
        return PlannedGraph.of(graph, lambda step: plan_step(step, context))

    def _assemble(self, planned: PlannedGraph) -> Runnable:
        modules = self._cache.load(planned.plans)
        return assemble(planned, modules, batch=self._batch)

    def _assemble_alone(self, planned: PlannedGraph) -> Runnable:
        """Return one layer as a program that finds its weights as far away as in a network."""
        copies = copies_of(planned)
        program = self._assemble(planned)
        if copies == 1:
            return program
        return Rotation([program, *(self._assemble(planned) for _ in range(copies - 1))])

    def _assemble_stamped(
        self, planned: PlannedGraph, stamps: Stamps
    ) -> tuple[Runnable, TakeSteps]:
        """Return the program without stamps, and what runs it with them."""
        modules = self._cache.load([stamps.plan, *planned.plans])
        stamped = assemble(planned, modules, batch=self._batch, stamps=stamps)

        def take(executions: int) -> npt.NDArray[np.float64]:
            stamped.time_repeats(executions, 1)
            return stamps.steps_us()

        return self._assemble(planned), take

    def _read_ruler_us(self) -> float:
        """Return microseconds of a fixed computation where the programs run."""
        return read_ruler_us()

    def _time_with_ruler(
        self, work: Callable[[], T], best_us: float, patience_s: float
    ) -> tuple[T, RulerReading]:
        """Time once the machine is about as fast as at its best, with a ruler beside it."""
        before_us, waited_s = self._settle(best_us, patience_s)
        before = self._used_s()
        done = work()
        wall_s, cpu_s = (now - then for now, then in zip(self._used_s(), before, strict=True))
        after_us = self._read_ruler_us()
        return done, RulerReading(
            before_us=before_us,
            after_us=after_us,
            best_us=min(best_us, before_us, after_us),
            waited_s=waited_s,
            cpu_share=min(1.0, cpu_s / wall_s) if wall_s > 0 else 1.0,
        )

    def _settle(self, best_us: float, patience_s: float) -> tuple[float, float]:
        """Wait for a quiet machine; return the ruler in microseconds and the seconds waited."""
        return settle(best_us, patience_s)

    def _used_s(self) -> tuple[float, float]:
        """Return wall-clock and CPU seconds so far of what runs programs."""
        return time.perf_counter(), time.process_time()
