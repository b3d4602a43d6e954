"""Side by side: several programs timed in interleaved rounds, so that a slow minute hits all."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from hardware.device import Device, MeasureResult
from hardware.errors import BuildError
from hardware.expected import measure_expected
from hardware.layers.table import LayerTable
from hardware.measuring.hindsight import in_hindsight
from hardware.measuring.measurement import Measurement
from hardware.measuring.quiet import QUIET_ROUNDS, at_quiet_quarter
from quant.deploy_graph import DeployGraph
from quant.records.progress import Progress

Name = TypeVar("Name")

ROUNDS = 3
"""Rounds of interleaved measurements."""
EXTRA_ROUNDS = 4
"""Further rounds for programs that a busy machine left with fewer than two stable measurements."""


def time_side_by_side(
    device: Device,
    graphs: Mapping[Name, DeployGraph],
    *,
    rounds: int = ROUNDS,
    table: LayerTable | None = None,
    progress: Progress | None = None,
) -> dict[Name, Measurement]:
    """Measure every graph once a round and return each one's quiet measurement.

    It is of the stable ones, by latency, the one at their quiet quarter. Programs with fewer than
    two (of a single round, with none) get up to `EXTRA_ROUNDS` more; where there still is none, it
    is of the unstable ones, and its verdict says so. Which are stable is judged by the fastest that
    the machine was around any of them.

    Args:
        device: Where to measure.
        graphs: Converted networks by name.
        rounds: Number of rounds that all take part in.
        table: What each measurement is held against; None for nothing.
        progress: Called with (measurements done, measurements in all).

    Raises:
        BuildError: a graph cannot be measured; names it.
        HardwareLostError: the device is gone.
    """
    taken: dict[Name, list[Measurement]] = {name: [] for name in graphs}
    wanted = min(rounds, QUIET_ROUNDS)
    done, total = 0, rounds * len(graphs)
    for number in range(rounds + EXTRA_ROUNDS):
        names = list(graphs)
        if number >= rounds:
            judged = _judged(taken)
            names = [name for name in names if not _is_settled(judged[name], wanted)]
            total += len(names)
        for name in names:
            result = measure_expected(device, graphs[name], table)
            taken[name].append(_measurement(result, name))
            done += 1
            if progress is not None:
                progress(done, total)
    return {
        name: at_quiet_quarter(_stable(found) or found, lambda item: item.median_ms)
        for name, found in _judged(taken).items()
    }


def _judged(taken: Mapping[Name, Sequence[Measurement]]) -> dict[Name, list[Measurement]]:
    judged = iter(in_hindsight([item for found in taken.values() for item in found]))
    return {name: [next(judged) for _ in found] for name, found in taken.items()}


def _is_settled(measurements: Sequence[Measurement], wanted: int) -> bool:
    """Return whether further rounds would be no better: emulated times never become stable."""
    emulated = measurements[-1].source == "emulated"
    return emulated or len(_stable(measurements)) >= wanted


def _stable(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [item for item in measurements if item.verdict.stable]


def _measurement(result: MeasureResult, name: object) -> Measurement:
    if result.measurement is None:
        raise BuildError(f"{name} cannot be measured: {result.error}")
    return result.measurement
