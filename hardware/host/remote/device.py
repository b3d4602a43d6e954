"""RpcDevice: boards over TVM RPC, measured as this machine is."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.closing import Closing
from hardware.device import MeasureResult
from hardware.facts import MachineFacts
from hardware.host.remote.bench import BoardBench, name_of, source_of
from hardware.host.remote.energy import open_board_energy
from hardware.host.remote.lane import Lane, comparable
from hardware.host.remote.reference_times import ReferenceTimes
from hardware.host.worker_bench import Call
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.measurement import MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.runtime.returned import Returned
from hardware.target import TargetConfig
from quant.deploy_graph import DeployGraph


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
        energy = energy or EnergyConfig()
        self._energies = open_board_energy(energy, protocol, config.boards)
        self._reference_times = ReferenceTimes()
        self._first: MachineFacts = {}
        self._agreeing = threading.Lock()
        self._all = [
            Lane(config, protocol, self._agree, energy_s=energy.longest_window_s)
            for _ in range(config.boards)
        ]
        self._free: queue.Queue[Lane] = queue.Queue()
        for lane in self._all:
            self._free.put(lane)
        self._standing: MachineFacts = {}

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

    def facts(self) -> MachineFacts:
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
        with self._lane() as lane:
            return lane.compute("identity", graph)

    def measure(self, graph: DeployGraph) -> MeasureResult:
        """Build, check against the integer reference, and time one candidate.

        Raises:
            HardwareLostError: no board answers, or it stays throttled.
        """
        with self.bench() as bench:
            return bench.measure(graph)

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> Returned:
        """Run one candidate on `x`, float32 `[N, C, H, W]`, and return what it returns, in float32.

        Raises:
            BuildError: the candidate cannot be built or run.
            HardwareLostError: no board answers.
        """
        with self.bench() as bench:
            return bench.run(graph, x)

    @contextmanager
    def bench(self) -> Iterator[BoardBench]:
        """Lend one of the boards; others may have it afterwards.

        Raises:
            HardwareLostError: no board answers.
        """
        standing = self.facts()
        with self._lane() as lane:
            try:
                yield BoardBench(
                    lane,
                    self._reference_times,
                    self._energies,
                    standing,
                    self._protocol,
                    self._config.tune_s,
                )
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

    def _energy_facts(self, call: Call) -> MachineFacts:
        return {} if self._energies is None else {"energy": self._energies.facts(call)}

    def _agree(self, facts: MachineFacts) -> str:
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
