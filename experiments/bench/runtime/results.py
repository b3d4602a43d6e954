"""Results of the runtime bench: one row for each contender, and what decided its time."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.peers.contender import Bits, Contender, Engine
from experiments.bench.runtime.rounds import Repeats
from quant.allocation import Allocation

__all__ = ["NetworkRuntimes", "RuntimeBench", "RuntimeRow", "best_int8_peer", "make_row"]

INT8 = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeRow:
    """One contender's time on one network."""

    network: str
    engine: Engine
    weight_bits: Bits
    activation_bits: Bits
    latency_ms_median: float
    latency_ms_iqr: float
    """Difference of the quartiles of the repeats."""
    repeats: int
    """Timings that count: those on a calm machine, where there were enough."""
    disturbed_repeats: int
    """Timings while other programs slowed the machine."""
    unstable: bool
    """Whether they had to count, too, for want of calm ones."""
    limit_share: float | None = None
    """What the products would take at their families' measured limits, over the median; of our own
    programs."""

    def to_dict(self) -> dict[str, Any]:
        """Return the row's part of the JSON document."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRuntimes:
    """All contenders on one network, timed in the same rounds."""

    network: str
    macs: int
    """Multiplications with an addition in one image."""
    limits_gmacs: Mapping[str, float]
    """`{kernel family: GMAC/s}` of this core, measured beside the rounds."""
    rows: tuple[RuntimeRow, ...]
    mixed: Allocation
    """What the rows with `mixed` bits ran."""
    families: Mapping[str, Mapping[str, int]]
    """`{contender: {kernel family: layers}}` of our own programs."""
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the rows."""
        return {
            "macs": self.macs,
            "rounds": self.rounds,
            "limits_gmacs": dict(self.limits_gmacs),
            "mixed": self.mixed.to_dict(),
            "families": {label: dict(counts) for label, counts in self.families.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeBench:
    """One run of the bench."""

    machine: Mapping[str, Any]
    command: str
    networks: tuple[NetworkRuntimes, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document; its `rows` hold every network's."""
        return {
            "machine": dict(self.machine),
            "command": self.command,
            "rows": [row.to_dict() for network in self.networks for row in network.rows],
            "networks": {network.network: network.to_dict() for network in self.networks},
        }


def make_row(
    network: str, contender: Contender, repeats: Repeats, least_ms: float | None = None
) -> RuntimeRow:
    """Return the median and spread of what counts of a contender's repeats.

    Args:
        network: Its name.
        contender: What was timed.
        repeats: Its timings.
        least_ms: What its products would take at this core's limits, None where nobody knows.
    """
    values_ms = repeats.values_ms
    first, third = np.percentile(values_ms, [25, 75])
    return RuntimeRow(
        network=network,
        engine=contender.engine,
        weight_bits=contender.weight_bits,
        activation_bits=contender.activation_bits,
        latency_ms_median=statistics.median(values_ms),
        latency_ms_iqr=float(third - first),
        repeats=len(values_ms),
        disturbed_repeats=len(repeats.disturbed_ms),
        unstable=repeats.unstable,
        limit_share=None if least_ms is None else least_ms / statistics.median(values_ms),
    )


def best_int8_peer(rows: Iterable[RuntimeRow]) -> RuntimeRow | None:
    """Return the fastest int8 row of another engine, None where there is none."""
    peers = [row for row in rows if row.engine != "bitalloc" and row.weight_bits == INT8]
    return min(peers, key=lambda row: row.latency_ms_median, default=None)
