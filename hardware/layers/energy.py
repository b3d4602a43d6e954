"""The energy of layers: their measured times, times watts that whole programs' windows tell.

A window takes seconds, and a network has thousands of pairs of layers and bits, so layers get none
of their own. Instead a few whole programs, of bits spread over all layers, each get a window. The
mean power of a program is the sum of the powers of what runs in it, weighed by time; the powers of
its parts are fitted to those means. Parts are told apart by what decides power: the family of the
kernel and the bits of its weights, and everything that is no layer. A part that no window tells
apart has the mean power: the fit is a ridge regression around it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

import numpy as np

from hardware.energy.energy import Energy
from hardware.graph.borders import with_borders
from hardware.graph.random_codes import with_random_codes
from hardware.graph.spread_choices import spread_choices
from hardware.graph.tensor_widths import BitPair
from hardware.layers.table import LayerTable
from hardware.progress import LabelledProgress
from quant.deploy_graph import DeployGraph

_PRIOR_SPREAD = 0.2
"""How far the power of a part is expected from the mean, as a share of it: instruction mixes of one
processor differ by tens of percents at most."""
_LEAST_NOISE = 0.01
"""Smallest believed error of a program's mean power, as a share of it."""
_SEED = 1
_OTHER = "no layer"

_Part = tuple[str, int] | str
"""(kernel family, weight bits), or what is no layer."""


class EnergyBench(Protocol):
    """What measuring the energy of programs needs of a device."""

    def sample_energy(self, graph: DeployGraph) -> tuple[Energy, float]:
        """Build a graph and return its energy and the milliseconds of one execution."""


def with_energies(
    table: LayerTable,
    graph: DeployGraph,
    bit_choices: Sequence[int],
    bench: EnergyBench,
    programs: int,
    progress: LabelledProgress | None = None,
    *,
    equal_bits: bool = False,
) -> LayerTable:
    """Return a measured layer table with the energy of each layer at each pair.

    Args:
        table: Times and kernel families of the layers.
        graph: The converted network; random codes stand in for its weights.
        bit_choices: As of the table.
        bench: Builds programs and measures their energy.
        programs: How many whole programs get a window.
        progress: Called after each window.
        equal_bits: As of the table.
    """
    graph = with_borders(graph)
    chosen = list(
        islice(spread_choices(graph, bit_choices, equal_bits=equal_bits, seed=_SEED), programs)
    )
    energies, watts, spreads = [], [], []
    for number, bits in enumerate(chosen, start=1):
        energy, one_ms = bench.sample_energy(with_random_codes(graph, bits, _SEED))
        energies.append(energy)
        # The window's own length, where there is one: it saw the power for exactly that long.
        took_ms = 1000.0 * energy.window_s / energy.loops if energy.window_s else one_ms
        watts.append(energy.gross_mj / took_ms)
        spreads.append(energy.error_mj / took_ms)
        if progress is not None:
            progress(number, len(chosen), "energy")
    power = _fit([_times_of_parts(table, bits) for bits in chosen], watts, spreads)
    mean = float(np.mean(watts))
    return replace(
        table,
        # Microseconds times watts are microjoules.
        energies_uj={
            layer: {
                pair: time_us * power.get(_part(table, layer, pair), mean)
                for pair, time_us in row.items()
            }
            for layer, row in table.times_us.items()
        },
        overhead_uj=table.overhead_us * power.get(_OTHER, mean),
        energy_source=energies[0].source,
    )


def _part(table: LayerTable, layer: str, pair: BitPair) -> _Part:
    return table.families.get(layer, {}).get(pair, ""), pair[0]


def _times_of_parts(table: LayerTable, bits: Mapping[str, BitPair]) -> dict[_Part, float]:
    """Return the microseconds of each part of a program."""
    times: dict[_Part, float] = {_OTHER: max(0.0, table.overhead_us)}
    for layer, pair in bits.items():
        part = _part(table, layer, pair)
        times[part] = times.get(part, 0.0) + table.layer_us(layer, *pair)
    return times


def _fit(
    programs: Sequence[Mapping[_Part, float]], watts: Sequence[float], spreads: Sequence[float]
) -> dict[_Part, float]:
    """Return the watts of each part: ridge regression around the mean, rows weighed by error."""
    parts = list(dict.fromkeys(part for times in programs for part in times))
    shares = np.array([[times.get(part, 0.0) for part in parts] for times in programs])
    shares /= shares.sum(axis=1, keepdims=True)
    measured = np.asarray(watts)
    mean = float(measured.mean())
    noise = np.maximum(np.asarray(spreads), _LEAST_NOISE * abs(mean))
    rows, surprise = shares / noise[:, None], (measured - mean) / noise
    precision = rows.T @ rows + np.eye(len(parts)) / (_PRIOR_SPREAD * mean) ** 2
    found = mean + np.linalg.solve(precision, rows.T @ surprise)
    # A tenth of the mean is less than any processor takes at work: below it, noise speaks.
    return dict(zip(parts, np.maximum(found, 0.1 * mean).tolist(), strict=True))
