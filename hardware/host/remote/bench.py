"""BoardBench: the programs of one board, in a session that it keeps until the bench is given back.

A timing counts only if the board was not held back around it.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hardware.energy.energy import Energy
from hardware.facts import MachineFacts, MeasurementFacts
from hardware.host.attempt import Attempt
from hardware.host.remote.cooling import Cooled, time_cool
from hardware.host.remote.energy import BoardEnergy
from hardware.host.remote.lane import Lane
from hardware.host.remote.reference_times import ReferenceTimes
from hardware.host.worker_bench import Call, WorkerBench
from hardware.measuring.measurement import MeasurementSource
from hardware.measuring.protocol import ProtocolConfig

T = TypeVar("T")


def source_of(board: MachineFacts) -> MeasurementSource:
    """Return whether a board's times are measured or emulated."""
    return "emulated" if board.get("emulated") else "measured"


def name_of(board: MachineFacts) -> str:
    """Return what a board is called in tables."""
    emulated = f" (emulated by {board['emulated']})" if board["emulated"] else ""
    return f"{board['model']}{emulated}"


class BoardBench(WorkerBench):
    """Has one lane of a device to itself."""

    def __init__(
        self,
        lane: Lane,
        reference_times: ReferenceTimes,
        energies: BoardEnergy | None,
        standing: MachineFacts,
        protocol: ProtocolConfig,
        tune_s: float,
    ) -> None:
        """Keep what the device lends.

        Args:
            lane: Reaches a board.
            reference_times: The reference kernel's times so far.
            energies: What tells the energy of a program; None where nothing does.
            standing: Facts that all boards of the run share.
            protocol: How programs are timed.
            tune_s: Limit of a tile search.
        """
        super().__init__(protocol, tune_s, 0 if energies is None else energies.layer_programs)
        self._lane, self._reference_times, self._energies = lane, reference_times, energies
        self._standing = standing
        self.source, self.name = source_of(standing), name_of(standing)

    def facts(self) -> MeasurementFacts:
        """Return the facts that all boards of the run share, and which board this is."""
        return cast(MeasurementFacts, {**self._standing, "board": self._board})

    @property
    def why_untuned(self) -> str:
        """Why no tiles are searched, empty where they are."""
        why = super().why_untuned
        emulated = "defaults, as emulated times say nothing about a core"
        return why or (emulated if self.source == "emulated" else "")

    def hold(self, work: Callable[[Call], T]) -> T:
        """Do some work in a session that stays open; see `Lane.hold`."""
        return self._lane.hold(work)

    def compute(self, method: str, *arguments: Any) -> Any:
        """Call a method that needs no board; see `Lane.compute`."""
        return self._lane.compute(method, *arguments)

    def attempt(
        self, call: Call, method: str, *arguments: Any, patience_s: float = math.inf
    ) -> Attempt[Any]:
        """Time once while the board is not held back; nobody else could disturb it.

        Raises:
            HardwareLostError: the board stays throttled.
        """
        best_us = self._reference_times.best_us(self._board)
        cooled = self._when_cool(call, lambda: call(method, *arguments, best_us, 0.0))
        value, reading = cooled.value
        more: MeasurementFacts = {
            "reference_drift": self._reference_times.note(self._board, reading)
        }
        if cooled.void:
            more["void_attempts"] = list(cooled.void)
        return Attempt(
            value=value,
            reading=reading,
            disturbed=reading.disturbed and self.source != "emulated",  # then none is better
            before=cooled.before,
            after=cooled.after,
            more=more,
        )

    def energy(self, call: Call, one_ms: float) -> Energy | None:
        """Return the energy of one execution, as a board that is not held back has.

        Raises:
            HardwareLostError: the meter is lost, or the board stays throttled.
        """
        energies = self._energies
        if energies is None:
            return None
        return self._when_cool(call, lambda: energies.measure(call, one_ms)).value

    @property
    def _board(self) -> str:
        return str(self._lane.board["name"])

    def _when_cool(self, call: Call, work: Callable[[], T]) -> Cooled[T]:
        return time_cool(work, lambda: call("moment"), self._lane.board.get("limit_mhz"))
