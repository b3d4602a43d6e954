"""Side by side: several programs timed in interleaved rounds, so that a slow minute hits all."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from hardware.device import Device, MeasureResult
from hardware.errors import BuildError
from hardware.measurement import Measurement
from quant.deploy_graph import DeployGraph

__all__ = ["ROUNDS", "time_side_by_side"]

Name = TypeVar("Name")

ROUNDS = 3
"""Rounds of interleaved measurements; odd, so that the middle one is one of them."""


def time_side_by_side(
    device: Device,
    graphs: Mapping[Name, DeployGraph],
    *,
    rounds: int = ROUNDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Name, Measurement]:
    """Measure every graph once a round and return each one's middle measurement.

    The middle is by the median latency, whatever the value: no round is preferred for being fast.

    Args:
        device: Where to measure.
        graphs: Converted networks by name.
        rounds: Number of rounds.
        progress: Called with (measurements done, measurements in all).

    Raises:
        BuildError: a graph cannot be measured; names it.
        HardwareLostError: the device is gone.
    """
    taken: dict[Name, list[Measurement]] = {name: [] for name in graphs}
    done, total = 0, rounds * len(graphs)
    for _ in range(rounds):
        for name, graph in graphs.items():
            taken[name].append(_measurement(device.measure(graph), name))
            done += 1
            if progress is not None:
                progress(done, total)
    return {
        name: sorted(found, key=lambda item: item.median_ms)[len(found) // 2]
        for name, found in taken.items()
    }


def _measurement(result: MeasureResult, name: object) -> Measurement:
    if result.measurement is None:
        raise BuildError(f"{name} cannot be measured: {result.error}")
    return result.measurement
