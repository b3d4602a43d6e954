"""Results of the runtime bench: one row for each contender, and what decided its time."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_serializer

from experiments.bench.peers.contender import Bits, Contender, Engine
from experiments.bench.runtime.rounds import Repeats
from quant.allocation import Allocation
from quant.records.json_form import to_plain

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


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRuntimes:
    """All contenders on one network, timed in the same rounds."""

    network: Annotated[str, Field(exclude=True)]
    macs: int
    """Multiplications with an addition in one image."""
    rounds: int
    limits_gmacs: Mapping[str, float]
    """`{kernel family: GMAC/s}` of this core, measured beside the rounds."""
    rows: Annotated[tuple[RuntimeRow, ...], Field(exclude=True)]
    mixed: Allocation
    """What the rows with `mixed` bits ran."""
    families: Mapping[str, Mapping[str, int]]
    """`{contender: {kernel family: layers}}` of our own programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeBench:
    """One run of the bench."""

    machine: Mapping[str, Any]
    command: str
    networks: tuple[NetworkRuntimes, ...]

    @model_serializer
    def _document(self) -> dict[str, Any]:
        document = {
            "machine": self.machine,
            "command": self.command,
            "rows": [row for network in self.networks for row in network.rows],
            "networks": {network.network: network for network in self.networks},
        }
        return {key: to_plain(value) for key, value in document.items()}


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
