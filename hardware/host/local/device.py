"""LocalDevice: this machine, through TVM, in a process of its own."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hardware.closing import Closing
from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.errors import BuildError
from hardware.host.local.energy import LocalEnergy
from hardware.host.worker_client import CandidateError, WorkerClient, WorkerLostError
from hardware.layers.energy import with_energies
from hardware.layers.table import LayerTable
from hardware.layers.timing import Sample, bit_pairs, time_layers
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.host_facts import moment_facts, standing_facts
from hardware.measuring.lock import timing_lock
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import RulerReading
from hardware.measuring.timing import Timing
from hardware.progress import Progress
from hardware.target import TargetConfig
from hardware.tiles.bench import LocalTiles
from hardware.tiles.report import TileReport
from hardware.tiles.search import search_tiles
from hardware.wire.built import Built
from quant.deploy_graph import DeployGraph

__all__ = ["LocalDevice"]

T = TypeVar("T")

_PATIENCE_S = 2.0
"""Longest wait for a disturbed machine before one timing; halved each time it was in vain."""
_LEAST_PATIENCE_S = 0.05
_SAMPLE_PATIENCE_S = 0.2
"""The same for one of a layer table's many short timings, which has more rounds to come."""

_ATTEMPTS = 2
"""A lost worker may be the machine's fault: the candidate gets a second chance, not a third."""


class LocalDevice(Closing):
    """Measures on this machine. A context manager; not safe for two threads.

    The calling thread must not hold `training_lock` during `measure` or `layer_table`: a timing
    waits until no training runs on this machine.
    """

    source: MeasurementSource = "measured"
    parallel = 1

    def __init__(
        self, config: TargetConfig, protocol: ProtocolConfig, energy: EnergyConfig | None = None
    ) -> None:
        """Remember the target and how to time; the worker starts with the first call.

        Args:
            config: Kernels and their tiles.
            protocol: How programs are timed.
            energy: The meter that is read beside; None for none.

        Raises:
            TargetError: the meter is not there or cannot be read.
        """
        self._protocol = protocol
        self._tune_s = config.tune_s
        self._worker = WorkerClient(config, protocol.batch)
        self._energy = LocalEnergy(
            energy or EnergyConfig(),
            lambda loops, most_s: self._worker.call(
                "execute", loops, limit_s=protocol.timeout_s + most_s
            ),
        )
        self._best_ruler_us = math.inf
        self._patience_s = _PATIENCE_S

    @property
    def name(self) -> str:
        """The CPU's name."""
        return str(standing_facts()["cpu"])

    def facts(self) -> Mapping[str, Any]:
        """Return machine facts and versions; the first call starts the worker.

        Raises:
            HardwareLostError: the worker cannot be started.
        """
        self._worker.ensure_started()
        return {**standing_facts(), **self._worker.facts, **self._energy.facts()}

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: the worker cannot be started again.
        """
        started = time.perf_counter()
        try:
            return self._retry(lambda: self._measure(graph))
        except (CandidateError, WorkerLostError) as error:
            return MeasureResult(error=str(error), measure_s=time.perf_counter() - started)

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return its float32 output.

        Raises:
            BuildError: the candidate cannot be built or run.
            HardwareLostError: the worker cannot be started again.
        """
        try:
            output: npt.NDArray[np.float32] = self._retry(lambda: self._call("run", graph, x))
        except (CandidateError, WorkerLostError) as error:
            raise BuildError(f"{graph.network} cannot be run: {error}") from None
        return output

    def tune(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: Progress | None = None,
        *,
        equal_bits: bool = False,
    ) -> TileReport:
        """Choose the register tiles of a network's layers by measuring, and keep the choices.

        Raises:
            HardwareLostError: the worker cannot be started again.
        """
        if self._tune_s == 0:
            return TileReport(why_none="defaults, without a search")
        pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
        return search_tiles(graph, pairs, LocalTiles(self._call), self._tune_s, progress)

    def tiles(
        self, graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
    ) -> str:
        """Return a digest of the tiles that the layers have at every pair of bit choices."""
        pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
        return str(self._retry(lambda: self._call("tiles", graph, pairs)))

    def layer_table(
        self,
        graph: DeployGraph,
        bit_choices: Sequence[int],
        progress: Progress | None = None,
        *,
        equal_bits: bool = False,
    ) -> LayerTable:
        """Measure every layer at every pair of bit choices, and the rest as overhead.

        Raises:
            BuildError: a layer cannot be built at one of the bit pairs.
            HardwareLostError: the worker cannot be started again.
        """
        try:
            table = time_layers(
                graph, bit_choices, self, self._protocol, progress, equal_bits=equal_bits
            )
            if not self._energy.known:
                return table
            programs = self._energy.programs
            return with_energies(
                table, graph, bit_choices, self, programs, progress, equal_bits=equal_bits
            )
        except (CandidateError, WorkerLostError) as error:
            raise BuildError(f"{graph.network} has no layer table: {error}") from None

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time: its kernels and the shapes of their constants."""
        return self._retry(lambda: self._call("identity", graph))

    def check(self, graph: DeployGraph) -> Mapping[str, str]:
        """Build a graph, compare its result with the integer reference, return its families.

        Raises:
            CandidateError: it cannot be built or is wrong.
        """
        built: Built = self._retry(lambda: self._call("build", graph))
        return built.families

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> Sample:
        """Time a graph that was checked before, and its layers inside it."""
        timing: Timing
        layers_us: dict[str, float]
        reading: RulerReading
        (timing, layers_us), reading = self._retry(
            lambda: self._ruled("time_layers", graph, protocol, longest_wait_s=_SAMPLE_PATIENCE_S)
        )
        return Sample(
            values_us=tuple(1000.0 * value for value in timing.values_ms),
            layers_us=layers_us,
            disturbed=reading.disturbed,
        )

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        """Build a graph and return its energy and the milliseconds of one execution.

        Raises:
            CandidateError: it cannot be built or is wrong.
            HardwareLostError: the worker or the meter is gone.
        """

        def attempt() -> tuple[Energy, float]:
            self._call("build", graph)
            timing, _ = self._time()
            one_ms = float(np.median(timing.values_ms))
            energy = self._energy.measure(one_ms)
            assert energy is not None
            return energy, one_ms

        return self._retry(attempt)

    def close(self) -> None:
        """End the worker process."""
        self._worker.close()

    def _measure(self, graph: DeployGraph) -> MeasureResult:
        started = time.perf_counter()
        built = self._call("build", graph)
        ready = time.perf_counter()
        before = moment_facts()
        timing, reading = self._time()
        discarded = [list(timing.discarded_ms)] if timing.discarded_ms else []
        if reading.disturbed:
            # The ruler decides which attempt counts, never the candidate's own time.
            second, second_reading = self._time()
            if second_reading.slowdown < reading.slowdown:
                discarded.append(list(timing.values_ms))
                timing, reading = second, second_reading
            else:
                discarded.append(list(second.values_ms))
        facts: dict[str, Any] = {
            **self.facts(),
            "families": dict(built.families),
            "before": before,
            "after": moment_facts(),
            "ruler": {**asdict(reading), "slowdown": reading.slowdown},
        }
        if discarded:
            facts["discarded_attempts_ms"] = discarded
        energy = self._energy.measure(float(np.median(timing.values_ms)))
        measurement = Measurement(
            values_ms=timing.values_ms,
            loops=timing.loops,
            protocol=self._protocol,
            source=self.source,
            device=self.name,
            facts=facts,
            energy=energy,
        )
        build_s = ready - started - built.check_s
        return MeasureResult(
            measurement=measurement,
            build_s=build_s,
            measure_s=time.perf_counter() - started - build_s,
        )

    def _time(self) -> tuple[Timing, RulerReading]:
        timing, reading = self._ruled("time", self._protocol, longest_wait_s=_PATIENCE_S)
        return timing, reading

    def _ruled(
        self, method: str, *arguments: Any, longest_wait_s: float
    ) -> tuple[Any, RulerReading]:
        """Call a method of the worker that waits for a quiet machine and reads the ruler."""
        reading: RulerReading
        # The lock is taken here and not in the worker, so that waiting for a training to end does
        # not count against the candidate's limit.
        with timing_lock():
            patience_s = min(self._patience_s, longest_wait_s)
            value, reading = self._call(method, *arguments, self._best_ruler_us, patience_s)
        self._best_ruler_us = reading.best_us
        # A machine that stays disturbed must not cost the whole patience at every timing.
        self._patience_s = (
            max(self._patience_s / 2, _LEAST_PATIENCE_S)
            if reading.disturbed
            else min(self._patience_s * 2, _PATIENCE_S)
        )
        return value, reading

    def _call(self, method: str, *arguments: Any) -> Any:
        return self._worker.call(method, *arguments, limit_s=self._protocol.timeout_s)

    def _retry(self, attempt: Callable[[], T]) -> T:
        """Call again when the worker was lost; the last loss is raised."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except WorkerLostError:
                continue
        try:
            return attempt()
        except WorkerLostError as error:
            raise WorkerLostError(f"{error}, {_ATTEMPTS} times in a row") from None
