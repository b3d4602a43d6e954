"""WorkerBench: the programs of one machine, built and timed by its worker one after the other.

Machines differ in how their worker is reached, in what a timing waits for and in who reads the
meter. What a worker is asked for is the same, and stands here.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.errors import BuildError
from hardware.facts import MachineFacts, MeasurementFacts
from hardware.graph.tensor_widths import BitPair
from hardware.host.attempt import Attempt, time_again_if_disturbed
from hardware.layers.table import LayerTable
from hardware.layers.timing import ProgramTiming, time_layers
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.progress import LabelledProgress
from hardware.runtime.returned import Returned
from hardware.tile_search.report import TileReport
from hardware.tile_search.search import search_tiles
from hardware.wire.built import Built
from hardware.wire.tile_task import TileTask
from quant.deploy_graph import DeployGraph

_logger = logging.getLogger(__name__)

T = TypeVar("T")

Call = Callable[..., Any]
"""`(method, *arguments)` of the worker's workbench."""

_SAMPLE_PATIENCE_S = 0.2
"""Longest wait for a quiet machine before one of a layer table's many short timings, which has more
rounds to come."""


class WorkerBench(ABC):
    """Answers whatever a device is asked, by way of one worker. Not safe for two threads."""

    source: MeasurementSource
    """Whether numbers are measured or emulated."""
    name: str
    """Short name for tables and run folders."""

    def __init__(self, protocol: ProtocolConfig, tune_s: float, energy_programs: int) -> None:
        """Keep how to time.

        Args:
            protocol: How programs are timed.
            tune_s: Limit of a tile search; 0 for none.
            energy_programs: How many programs get a window for a layer table; 0 without a meter.
        """
        self.energy_programs = energy_programs
        self._protocol = protocol
        self._tune_s = tune_s

    @abstractmethod
    def facts(self) -> MachineFacts:
        """Return machine facts that travel with every measurement.

        Raises:
            HardwareLostError: the machine is gone.
        """

    @abstractmethod
    def hold(self, work: Callable[[Call], T]) -> T:
        """Do some work with the machine; again if worker or session end meanwhile.

        Raises:
            BuildError: the candidate is wrong, or ends the worker or the session again.
            HardwareLostError: the machine is gone.
        """

    def compute(self, method: str, *arguments: Any) -> Any:
        """Call a method that runs no program, such as `identity`; again if the worker died.

        Raises:
            BuildError: the candidate is wrong, or ends the worker again.
            HardwareLostError: no worker can be started.
        """
        return self._ask(method, *arguments)

    @abstractmethod
    def attempt(
        self, call: Call, method: str, *arguments: Any, patience_s: float = math.inf
    ) -> Attempt[Any]:
        """Time once, when nothing disturbs the machine, and read the ruler around it.

        Args:
            call: Of the work that is being done.
            method: Times something.
            arguments: Of the method, before those that say how to wait.
            patience_s: Longest wait for a quiet machine, where the bench would wait longer.
        """

    @abstractmethod
    def energy(self, call: Call, one_ms: float) -> Energy | None:
        """Return the energy of one execution of what was built last; None without a meter.

        Args:
            call: Of the work that is being done.
            one_ms: Milliseconds of one execution.
        """

    @property
    def why_untuned(self) -> str:
        """Why no tiles are searched, empty where they are."""
        return "" if self._tune_s else "defaults, without a search"

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time: its kernels and the shapes of their constants.

        Raises:
            BuildError: an operator has no kernel.
            HardwareLostError: no worker can be started.
        """
        return self.compute("identity", graph)

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: the machine is gone.
        """
        started = time.perf_counter()
        try:
            return self.hold(lambda call: self._measure(call, graph))
        except BuildError as error:
            return MeasureResult(error=str(error), measure_s=time.perf_counter() - started)

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return what it returns, in float32.

        Raises:
            BuildError: the candidate cannot be built or run.
            HardwareLostError: the machine is gone.
        """
        try:
            returned: Returned = self._ask("run", graph, x)
        except BuildError as error:
            raise BuildError(f"{graph.network} cannot be run: {error}") from None
        return returned

    def search_tiles(
        self,
        graph: DeployGraph,
        pairs: Mapping[str, Sequence[BitPair]],
        progress: LabelledProgress | None = None,
    ) -> TileReport:
        """Choose the layers' register tiles at their bit pairs; the worker keeps the choices."""
        if self.why_untuned:
            return TileReport(why_none=self.why_untuned)
        return search_tiles(graph, pairs, self, self._tune_s, progress)

    def tiles(self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]) -> str:
        """Return a digest of the tiles that the layers have at their bit pairs."""
        return str(self.compute("tiles", graph, pairs))

    def tile_tasks(
        self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]
    ) -> list[TileTask]:
        """Return the searches of a network, one for each choice that its layers need."""
        tasks: list[TileTask] = self._ask("tile_tasks", graph, pairs)
        return tasks

    def compile_tiles(self, part: DeployGraph) -> None:
        """Compile and check the schedules worth measuring for one layer."""
        self._ask("compile_tiles", part)

    def time_tiles(self) -> bool:
        """Time what was compiled last and keep the fastest; return whether it is a new tile."""
        return bool(self._ask("time_tiles"))

    def time_layers(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: LabelledProgress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Measure the times of a layer table."""
        table = time_layers(
            graph, bit_choices, self, self._protocol, progress, equal_bits=equal_bits
        )
        return replace(table, source=self.source)

    def check(self, graph: DeployGraph) -> Mapping[str, str]:
        """Build a graph, compare its result with the integer reference, return its families."""
        return self.hold(lambda call: _build(call, graph)).families

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> ProgramTiming:
        """Time a graph that was checked before, and its layers inside it."""
        attempt = self.hold(
            lambda call: self.attempt(
                call, "time_layers", graph, protocol, patience_s=_SAMPLE_PATIENCE_S
            )
        )
        timing, layers_us = attempt.value
        return ProgramTiming(
            values_us=tuple(1000.0 * value for value in timing.values_ms),
            layers_us=layers_us,
            disturbed=attempt.disturbed,
        )

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        """Build a graph and return its energy and the milliseconds of one execution."""

        def work(call: Call) -> tuple[Energy, float]:
            _build(call, graph)
            one_ms: float = self._time(call).value.median_ms
            energy = self.energy(call, one_ms)
            assert energy is not None
            return energy, one_ms

        return self.hold(work)

    def _measure(self, call: Call, graph: DeployGraph) -> MeasureResult:
        started = time.perf_counter()
        built = _build(call, graph)
        build_s = time.perf_counter() - started - built.check_s
        attempt, discarded = time_again_if_disturbed(lambda: self._time(call))
        timing = attempt.value
        found = {**self.facts(), "families": dict(built.families), **attempt.facts()}
        facts = cast(MeasurementFacts, found)
        if discarded:
            facts["discarded_attempts_ms"] = discarded
        measurement = Measurement(
            values_ms=timing.values_ms,
            loops=timing.loops,
            protocol=self._protocol,
            source=self.source,
            device=self.name,
            facts=facts,
            energy=self.energy(call, timing.median_ms),
        )
        return MeasureResult(
            measurement=measurement,
            build_s=build_s,
            measure_s=time.perf_counter() - started - build_s,
        )

    def _time(self, call: Call) -> Attempt[Any]:
        return self.attempt(call, "time", self._protocol)

    def _ask(self, method: str, *arguments: Any) -> Any:
        return self.hold(lambda call: call(method, *arguments))


def _build(call: Call, graph: DeployGraph) -> Built:
    built: Built = call("build", graph)
    for folder in built.wrong_kernels:
        _logger.warning(
            "a kernel of the cache computed wrongly and was compiled again: the wrong one is in %s",
            folder,
        )
    return built
