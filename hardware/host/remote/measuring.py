"""Measuring one candidate in one session with a board."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from hardware.device import MeasureResult
from hardware.energy.energy import Energy
from hardware.host.remote.cooling import Cooled, time_cool
from hardware.host.remote.energy import BoardEnergy
from hardware.host.remote.lane import Call
from hardware.host.remote.rulers import Rulers
from hardware.measuring.measurement import Measurement, MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import RulerReading
from hardware.measuring.timing import Timing
from hardware.wire.built import Built
from quant.deploy_graph import DeployGraph

__all__ = ["energy_when_cool", "measure_on_board", "name_of", "source_of"]

Timed = Cooled[tuple[Timing, RulerReading]]


def source_of(board: Mapping[str, Any]) -> MeasurementSource:
    """Return whether a board's times are measured or emulated."""
    return "emulated" if board.get("emulated") else "measured"


def name_of(board: Mapping[str, Any]) -> str:
    """Return what a board is called in tables."""
    emulated = f" (emulated by {board['emulated']})" if board["emulated"] else ""
    return f"{board['model']}{emulated}"


def energy_when_cool(
    call: Call, energies: BoardEnergy, board: Mapping[str, Any], one_ms: float
) -> Energy:
    """Return the energy of the program that was built last, as a board that is not held back has.

    Raises:
        HardwareLostError: the meter is lost, or the board stays throttled.
    """
    cooled: Cooled[Energy] = time_cool(
        lambda: energies.measure(call, one_ms), lambda: call("moment"), board.get("limit_mhz")
    )
    return cooled.value


def measure_on_board(
    call: Call,
    graph: DeployGraph,
    protocol: ProtocolConfig,
    rulers: Rulers,
    board: Mapping[str, Any],
    standing: Mapping[str, Any],
    energies: BoardEnergy | None = None,
) -> MeasureResult:
    """Build, check and time one candidate.

    Args:
        call: Of the session's worker.
        graph: The candidate.
        protocol: How to time.
        rulers: The reference kernel's times so far.
        board: Facts of the board that the session is with.
        standing: Facts that all boards of the run share.
        energies: What tells the energy of a program; None where nothing does.

    Raises:
        CandidateError: it cannot be built or is wrong.
        HardwareLostError: the session ended, or the board stays throttled.
    """
    started = time.perf_counter()
    name = str(board["name"])
    built: Built = call("build", graph)
    ready = time.perf_counter()

    def timed() -> Timed:
        found: Timed = time_cool(
            lambda: call("time", protocol, rulers.best_us(name), 0.0),
            lambda: call("moment"),
            board.get("limit_mhz"),
        )
        return found

    cooled = timed()
    timing, reading = cooled.value
    discarded = [list(timing.discarded_ms)] if timing.discarded_ms else []
    drift = rulers.note(name, reading)
    if reading.disturbed and not board.get("emulated"):  # of emulated times none is better
        # The reference kernel decides which attempt counts, never the candidate's own time.
        second = timed()
        other, other_reading = second.value
        drift = rulers.note(name, other_reading)
        if other_reading.slowdown < reading.slowdown:
            discarded.append(list(timing.values_ms))
            cooled, timing, reading = second, other, other_reading
        else:
            discarded.append(list(other.values_ms))
    energy = None
    if energies is not None:
        energy = energy_when_cool(call, energies, board, float(np.median(timing.values_ms)))
    facts: dict[str, Any] = {
        **standing,
        "board": name,
        "families": dict(built.families),
        "before": dict(cooled.before),
        "after": dict(cooled.after),
        "ruler": {**asdict(reading), "slowdown": reading.slowdown},
        "reference_drift": drift,
    }
    if cooled.void:
        facts["void_attempts"] = list(cooled.void)
    if discarded:
        facts["discarded_attempts_ms"] = discarded
    measurement = Measurement(
        values_ms=timing.values_ms,
        loops=timing.loops,
        protocol=protocol,
        source=source_of(board),
        device=name_of(standing),
        facts=facts,
        energy=energy,
    )
    build_s = ready - started - built.check_s
    return MeasureResult(
        measurement=measurement,
        build_s=build_s,
        measure_s=time.perf_counter() - started - build_s,
    )
