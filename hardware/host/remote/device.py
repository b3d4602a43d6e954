"""RpcDevice: boards over TVM RPC, measured as this machine is."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hardware.closing import Closing
from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.errors import BuildError
from hardware.host.remote.cooling import time_cool
from hardware.host.remote.energy import BoardEnergy, open_board_energy
from hardware.host.remote.lane import Call, Lane, comparable
from hardware.host.remote.measuring import energy_when_cool, measure_on_board, name_of, source_of
from hardware.host.remote.rulers import Rulers
from hardware.host.worker_client import CandidateError
from hardware.layers.energy import with_energies
from hardware.layers.table import LayerTable
from hardware.layers.timing import Sample, bit_pairs, time_layers
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.measurement import MeasurementSource
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

__all__ = ["RpcDevice"]

T = TypeVar("T")


class RpcDevice(Closing):
    """Measures on one board, or on several of one kind at once. A context manager.

    `measure` may be called by as many threads as there are boards (`parallel`); everything else
    uses one board, and is not safe for two threads.
    """

    def __init__(
        self, config: TargetConfig, protocol: ProtocolConfig, energy: EnergyConfig | None = None
    ) -> None:
        """Remember the target and how to time; a board is reached with the first call.

        Args:
            config: Which board, and what its kernels are.
            protocol: How programs are timed.
            energy: The meter that is read beside, here or on the board; None for none.

        Raises:
            TargetError: a meter that is connected here is not there or cannot be read.
        """
        self._config, self._protocol = config, protocol
        self._energy_config = energy or EnergyConfig()
        self._energies = open_board_energy(self._energy_config, protocol, config.boards)
        self._rulers = Rulers()
        self._first: dict[str, Any] = {}
        self._agreeing = threading.Lock()
        self._all = [
            Lane(config, protocol, self._agree, energy_s=self._energy_config.longest_window_s)
            for _ in range(config.boards)
        ]
        self._free: queue.Queue[Lane] = queue.Queue()
        for lane in self._all:
            self._free.put(lane)
        self._standing: dict[str, Any] = {}

    @property
    def parallel(self) -> int:
        """How many candidates may be measured at once."""
        return len(self._all)

    @property
    def source(self) -> MeasurementSource:
        """`measured`, or `emulated` where the board says so; the first call reaches the board."""
        return source_of(self.facts())

    @property
    def name(self) -> str:
        """The board's model; the first call reaches the board."""
        return name_of(self.facts())

    def facts(self) -> Mapping[str, Any]:
        """Return the facts that all boards of this run share, and those of the compiler.

        Raises:
            HardwareLostError: no board answers.
        """
        if not self._standing:
            with self._lane() as lane:
                energy = lane.use(self._energy_facts)
                self._standing = {
                    "preset": self._config.board,
                    **self._first,
                    **lane.worker_facts,
                    **energy,
                }
        return self._standing

    def identity(self, graph: DeployGraph) -> Any:
        """Return what decides a program's time: its kernels and the shapes of their constants.

        Raises:
            BuildError: an operator has no kernel.
        """
        return self._compute("identity", graph)

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: no board answers, or it stays throttled.
        """
        started = time.perf_counter()
        standing = self.facts()
        with self._lane() as lane:

            def work(call: Call) -> MeasureResult:
                return measure_on_board(
                    call, graph, self._protocol, self._rulers, lane.board, standing, self._energies
                )

            try:
                return lane.use(work)
            except CandidateError as error:
                return MeasureResult(error=str(error), measure_s=time.perf_counter() - started)

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return its float32 output.

        Raises:
            BuildError: the candidate cannot be built or run.
            HardwareLostError: no board answers.
        """
        try:
            output: npt.NDArray[np.float32] = self._alone(lambda call: call("run", graph, x))
        except CandidateError as error:
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
        """Choose the register tiles of a network's layers by measuring on the board.

        Raises:
            HardwareLostError: no board answers.
        """
        if self._config.tune_s == 0:
            return TileReport(why_none="defaults, without a search")
        if self.source == "emulated":
            return TileReport(why_none="defaults, as emulated times say nothing about a core")
        pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
        with self._lane() as lane:
            bench = LocalTiles(lambda *call: lane.hold(lambda ask: ask(*call)))
            try:
                return search_tiles(graph, pairs, bench, self._config.tune_s, progress)
            finally:
                lane.release()

    def tiles(
        self, graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
    ) -> str:
        """Return a digest of the tiles that the layers have at every pair of bit choices."""
        pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
        return str(self._compute("tiles", graph, pairs))

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
            HardwareLostError: no board answers.
        """
        source = self.source
        with self._lane() as lane:
            bench = _LayerBench(lane, self._rulers, self._energies, self._protocol)
            try:
                table = time_layers(
                    graph, bit_choices, bench, self._protocol, progress, equal_bits=equal_bits
                )
                table = replace(table, source=source)
                if self._energies is None:
                    return table
                programs = self._energy_config.layer_programs
                return with_energies(
                    table, graph, bit_choices, bench, programs, progress, equal_bits=equal_bits
                )
            except CandidateError as error:
                raise BuildError(f"{graph.network} has no layer table: {error}") from None
            finally:
                lane.release()

    def close(self) -> None:
        """End the worker processes, and with them their sessions."""
        for lane in self._all:
            lane.close()

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        """Lend a lane that nobody uses."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    def _energy_facts(self, call: Call) -> dict[str, Any]:
        return {} if self._energies is None else {"energy": dict(self._energies.facts(call))}

    def _compute(self, method: str, *arguments: Any) -> Any:
        with self._lane() as lane:
            try:
                return lane.compute(method, *arguments)
            except CandidateError as error:
                raise BuildError(str(error)) from None

    def _alone(self, work: Callable[[Call], T]) -> T:
        with self._lane() as lane:
            return lane.use(work)

    def _agree(self, facts: Mapping[str, Any]) -> str:
        """Return how a board differs from the first one of this run, nothing where it does not."""
        found = comparable(facts)
        with self._agreeing:
            if not self._first:
                self._first = found
                return ""
        different = [
            f"{name} {found.get(name)!r} instead of {self._first.get(name)!r}"
            for name in sorted({*found, *self._first})
            if found.get(name) != self._first.get(name)
        ]
        if not different:
            return ""
        return (
            f"board {facts.get('hostname')} differs from the first one of this run: "
            f"{', '.join(different)}"
        )


class _LayerBench:
    """What timing layers needs, on one lane that keeps its session."""

    def __init__(
        self, lane: Lane, rulers: Rulers, energies: BoardEnergy | None, protocol: ProtocolConfig
    ) -> None:
        self._lane, self._rulers = lane, rulers
        self._energies, self._protocol = energies, protocol

    def identity(self, graph: DeployGraph) -> Any:
        return self._lane.compute("identity", graph)

    def check(self, graph: DeployGraph) -> Mapping[str, str]:
        built: Built = self._lane.hold(lambda call: call("build", graph))
        return built.families

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        energies = self._energies
        assert energies is not None

        def work(call: Call) -> tuple[Energy, float]:
            board = self._lane.board
            call("build", graph)
            best_us = self._rulers.best_us(str(board["name"]))
            timing, _ = call("time", self._protocol, best_us, 0.0)
            one_ms = float(np.median(timing.values_ms))
            return energy_when_cool(call, energies, board, one_ms), one_ms

        return self._lane.hold(work)

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> Sample:
        def work(call: Call) -> tuple[tuple[Timing, dict[str, float]], RulerReading]:
            board = self._lane.board
            name = str(board["name"])
            best_us = self._rulers.best_us(name)
            cooled = time_cool(
                lambda: call("time_layers", graph, protocol, best_us, 0.0),
                lambda: call("moment"),
                board.get("limit_mhz"),
            )
            self._rulers.note(name, cooled.value[1])
            found: tuple[tuple[Timing, dict[str, float]], RulerReading] = cooled.value
            return found

        (timing, layers_us), reading = self._lane.hold(work)
        return Sample(
            values_us=tuple(1000.0 * value for value in timing.values_ms),
            layers_us=layers_us,
            # Further rounds of emulated times would be no better.
            disturbed=reading.disturbed and not self._lane.board.get("emulated"),
        )
