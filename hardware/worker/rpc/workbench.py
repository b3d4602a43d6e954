"""RemoteWorkbench: compiles and links here, runs and times on the board."""

import hashlib
import math
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hardware.board import names
from hardware.errors import BoardLostError, HardwareLostError
from hardware.facts import Connected, EnergyFacts, MachineFacts, MomentFacts
from hardware.graph.agreement import describe_difference, fixed_input, reference_output
from hardware.graph.borders import with_borders
from hardware.target import TargetConfig
from hardware.worker.program.cross_link import find_cross_linker
from hardware.worker.program.linking import link_program
from hardware.worker.program.planned import PlannedGraph
from hardware.worker.program.program import Runnable
from hardware.worker.program.stamps import Stamps
from hardware.worker.rpc.address import address_of
from hardware.worker.rpc.reference import reference_graph
from hardware.worker.rpc.remote_program import RemoteProgram
from hardware.worker.rpc.session import BoardSession
from hardware.worker.workbench import TakeSteps, Workbench

T = TypeVar("T")

_MOST_LOADED = 24
"""Programs that a session keeps; a layer table times some twenty of them in turn."""
_RULER_MS = 2.0
"""Executions of the reference kernel in one repeat take about this long."""
_RULER_REPEATS = 5
_OTHER_BOARD = "is it the board that target.board names?"


class RemoteWorkbench(Workbench):
    """A workbench whose programs are on a board. It has a session from `connect` to `release`."""

    def __init__(self, config: TargetConfig, batch: int) -> None:
        """Find what links for the board; nothing is connected yet.

        Raises:
            TargetError: the configuration does not say how to reach the board.
            ToolchainError: nothing here links for the board.
        """
        super().__init__(config, batch)
        self._address = address_of(config)
        self._threads = config.threads
        self._linker_name = "this machine's compiler"
        if not self._target.native:
            self._link = found = find_cross_linker(self._target.mtriple)
            self._linker_name = found.name
        self._session: BoardSession | None = None
        self._loaded: dict[str, RemoteProgram] = {}
        self._reference: RemoteProgram | None = None
        self._ruler_loops = 0

    def facts(self) -> MachineFacts:
        """Return what only the process that loaded TVM knows."""
        return {**super().facts(), "linker": self._linker_name}

    def connect(self, limit_s: float) -> Connected:
        """Open a session, unless one is open.

        Args:
            limit_s: The board ends the session when it hears nothing for so long.

        Returns:
            `opened` and `facts` of the session (see `BoardSession`).

        Raises:
            BoardBusyError: all boards are in use.
            BoardLostError: the board does not answer.
            HardwareLostError: it has no agent of BitAlloc's, or one of another version.
        """
        if self._session is None:
            self._session = BoardSession(self._address, math.ceil(limit_s), self._threads)
        return {"opened": self._session.opened, "facts": self._session.facts}

    def check_reference(self) -> None:
        """Load the reference kernel and compare its result; timings need it beside them.

        Raises:
            HardwareLostError: the board computes wrongly.
        """
        graph = with_borders(reference_graph())
        self._reference = self._assemble(self._plan(graph))
        x = fixed_input(graph, self._batch)
        found = self._reference.run(x)
        if wrong := describe_difference(found, reference_output(graph, x)):
            raise HardwareLostError(
                f"{self._address} computes the reference kernel wrongly: {wrong}", _OTHER_BOARD
            )
        self._ruler_loops = 0

    def release(self) -> None:
        """End the session; others may have the board."""
        self._program = None
        self._trial = None
        self._session = None  # TVM closes the connection with the last reference to it
        self._reference = None
        self._loaded.clear()

    def moment(self) -> MomentFacts:
        """Return the board's load, clock, temperature and throttling now."""
        return self._open.moment()

    def meter(self, settings: str) -> EnergyFacts:
        """Return what the board says of an energy meter of its own (see `hardware.board.names`)."""
        answer: EnergyFacts = self._open.call_json(names.METER, settings)
        return answer

    def energy(
        self, settings: str, one_ms: float, window_s: float, idle_s: float, limit_s: float
    ) -> Any:
        """Let the board measure the energy of the program that was built last."""
        program = self.program
        assert isinstance(program, RemoteProgram)
        limit = math.ceil(limit_s)
        return self._open.call_json(
            names.ENERGY, program.name, settings, one_ms, window_s, idle_s, limit
        )

    def ruler_us(self) -> float:
        """Return microseconds of the reference kernel now."""
        return self._read_ruler_us()

    def time_library(self, library: str, loops: int, repeats: int) -> list[float]:
        """Time a linked program that is on the disk; milliseconds of each repeat."""
        program = RemoteProgram(self._open, self._open.load(Path(library)))
        return program.time_repeats(loops, repeats)

    def check_link(self) -> int:
        """Compile and link the reference kernel; return the bytes of the library."""
        with tempfile.TemporaryDirectory(prefix="bitalloc-board-") as folder:
            library = Path(folder) / "reference.so"
            self.link(reference_graph(), library)
            return library.stat().st_size

    def check_bits(self, bits: int) -> str:
        """Run the reference kernel at a width; return the name of its family.

        Raises:
            BuildError: its result is not the integer reference's.
        """
        (family,) = self.build(reference_graph(bits)).families.values()
        return family

    @property
    def _open(self) -> BoardSession:
        """The session.

        Raises:
            BoardLostError: there is none.
        """
        if self._session is None:
            raise BoardLostError(f"there is no session with {self._address}")
        return self._session

    def _assemble_alone(self, planned: PlannedGraph) -> Runnable:
        """Return one copy: small boards have no third cache that others' weights would push out."""
        return self._assemble(planned)

    def _assemble_stamped(
        self, planned: PlannedGraph, stamps: Stamps
    ) -> tuple[Runnable, TakeSteps]:
        program = self._assemble(planned, stamps)
        return program, program.steps_us

    def _assemble(self, planned: PlannedGraph, stamps: Stamps | None = None) -> RemoteProgram:
        """Return a program of the session: one that is there already, or linked and copied now."""
        key = _digest(planned, stamps)
        if key in self._loaded:
            self._loaded[key] = self._loaded.pop(key)  # the least recently used comes first
            return self._loaded[key]
        objects = self._cache.objects([*planned.plans, *([stamps.plan] if stamps else [])])
        with tempfile.TemporaryDirectory(prefix="bitalloc-board-") as folder:
            library = Path(folder) / "program.so"
            link_program(
                planned, objects, library, batch=self._batch, link=self._link, stamps=stamps
            )
            program = RemoteProgram(self._open, self._open.load(library))
        self._loaded[key] = program
        while len(self._loaded) > _MOST_LOADED:
            # The reference is used all the time, without being looked up here.
            oldest = next(old for old, one in self._loaded.items() if one is not self._reference)
            self._open.unload(self._loaded.pop(oldest).name)
        return program

    def _read_ruler_us(self) -> float:
        reference = self._reference
        if reference is None:
            raise BoardLostError(f"there is no session with {self._address}")
        if not self._ruler_loops:
            first_ms = reference.time_repeats(1, 3)[-1]
            self._ruler_loops = max(1, math.ceil(_RULER_MS / max(first_ms, 1e-6)))
        values_ms = reference.time_repeats(self._ruler_loops, _RULER_REPEATS)
        return 1000.0 * float(np.median(values_ms))

    def _settle(self, best_us: float, patience_s: float) -> tuple[float, float]:
        """Read the reference kernel and wait for nothing.

        Nobody else uses the board: what makes it slow is heat, which `cooling` waits for.
        """
        return self._read_ruler_us(), 0.0

    def _used_s(self) -> tuple[float, float]:
        """Return wall-clock and CPU seconds of all programs' timings on the board."""
        programs = list(self._loaded.values())
        return sum(p.wall_s for p in programs), sum(p.cpu_s for p in programs)


def _digest(planned: PlannedGraph, stamps: Stamps | None) -> str:
    """Return what decides a program: its kernels, their constants, its tensors."""
    graph = planned.graph
    wiring = [graph.input, graph.output, *((step.reads, step.writes) for step in planned.steps)]
    orders = [plan.order for plan in planned.plans]
    known = (wiring, orders, graph.kept, sorted(graph.tensors.items()))
    parts = hashlib.sha256(repr(known).encode())
    parts.update(str(stamps.plan.document if stamps else "").encode())
    for plan in planned.plans:
        parts.update(plan.document.encode())
        for array in plan.constants:
            parts.update(str((array.shape, array.dtype)).encode())
            parts.update(np.ascontiguousarray(array).tobytes())
    return parts.hexdigest()
