"""The layer table: every layer timed at every bit pair, and what no layer accounts for.

Layers are timed one at a time as programs of one call, less an empty program; programs that share
code and shapes are timed once. The overhead is what whole programs of uniform bits take beyond
their layers' sum. All timings are interleaved over several rounds, so that a slow minute of a
shared machine falls on all of them alike.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from hardware.borders import with_borders
from hardware.device import Progress
from hardware.layer_table import LayerTable
from hardware.protocol import ProtocolConfig
from hardware.random_codes import (
    BitPair,
    layer_alone,
    nothing,
    reads_network_input,
    with_random_codes,
)
from quant.deploy_graph import DeployGraph
from quant.layers import INPUT_BITS

__all__ = ["LayerBench", "Sample", "bit_pairs", "time_layers"]

T = TypeVar("T")

_ROUNDS = 5
_EXTRA_ROUNDS = 5
"""Further rounds for programs with fewer than `_QUIET_ROUNDS` quiet ones: where a neighbour took
half the core for four timings in five, a third of the times were half too high without."""
_QUIET_ROUNDS = 2
_REPEATS = 5
_WARMUPS = 1
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One short timing of one program."""

    values_us: tuple[float, ...]
    disturbed: bool
    """Whether the machine was slower than at its best meanwhile."""


class LayerBench(Protocol):
    """What timing layers needs of a device."""

    def identity(self, graph: DeployGraph) -> Any:
        """Return a hashable value that is equal for programs that take equal time."""

    def check(self, graph: DeployGraph) -> Mapping[str, str]:
        """Build a graph, compare it with the integer reference, return `{layer: family}`.

        Raises where the result is wrong.
        """

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> Sample:
        """Time a graph that was checked before."""


@dataclass(slots=True)
class _Timed:
    """One program and everything that was measured of it."""

    graph: DeployGraph
    what: str
    samples: list[Sample] = field(default_factory=list)
    family: str = ""
    """Kernel families of the layers; one name for a program of one layer."""

    @property
    def quiet_us(self) -> float:
        """Median of a quiet round: of five, the second quietest.

        Whatever else runs on a machine only ever adds time, and often for longer than one round:
        with the median of all rounds, one entry in ten was half too high on a busy machine.
        Rounds that the ruler calls disturbed count only where there is nothing else.
        """
        medians = _medians_us(self.quiet or self.samples)
        return medians[len(medians) // 4]

    @property
    def spread_us(self) -> float:
        """Distance from the quietest round to the middle one: how well `quiet_us` is known.

        The upper half of the rounds says what else ran on the machine, and not how well a quiet
        round repeats. A single quiet round says nothing of that: then all rounds count.
        """
        medians = _medians_us(self.quiet if len(self.quiet) >= _QUIET_ROUNDS else self.samples)
        return medians[len(medians) // 2] - medians[0]

    @property
    def quiet(self) -> list[Sample]:
        """The samples that nothing disturbed."""
        return [sample for sample in self.samples if not sample.disturbed]


def _medians_us(samples: Iterable[Sample]) -> list[float]:
    return sorted(float(np.median(sample.values_us)) for sample in samples)


def bit_pairs(
    graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
) -> dict[str, tuple[BitPair, ...]]:
    """Return the bit pairs that each layer may have; the network's input keeps its 8 bits.

    Args:
        graph: The converted network.
        bit_choices: The widths that may be chosen.
        equal_bits: Only weights and activations of one width, where the layer may choose both.
    """
    fixed = reads_network_input(graph)

    def activations(layer: str, weight_bits: int) -> Sequence[int]:
        if layer in fixed:
            return (INPUT_BITS,)
        return (weight_bits,) if equal_bits else bit_choices

    return {
        op.layer: tuple(
            (weight_bits, activation_bits)
            for weight_bits in bit_choices
            for activation_bits in activations(op.layer, weight_bits)
        )
        for op in graph.layer_ops()
    }


def time_layers(
    graph: DeployGraph,
    bit_choices: Sequence[int],
    bench: LayerBench,
    protocol: ProtocolConfig,
    progress: Progress | None = None,
    *,
    equal_bits: bool = False,
) -> LayerTable:
    """Measure the layer table of one network.

    Args:
        graph: The converted network; random codes stand in for its weights.
        bit_choices: The widths that may be chosen.
        bench: Builds, checks and times.
        protocol: Gives batch, length of a repeat and limits; repeats are spread over rounds.
        progress: Called after each program that was checked or timed.
        equal_bits: Only the pairs of equal widths.
    """
    # Before layers are cut out: each must read and write what it does in the whole network.
    graph = with_borders(graph)
    pairs = bit_pairs(graph, bit_choices, equal_bits=equal_bits)
    shared: dict[Hashable, _Timed] = {}
    entries: dict[str, dict[BitPair, _Timed]] = {layer: {} for layer in pairs}
    for layer, choices in pairs.items():
        for pair in choices:
            part = layer_alone(graph, layer, pair, _SEED)
            entry = _Timed(part, f"{layer} at {pair[0]}/{pair[1]} bits")
            entries[layer][pair] = shared.setdefault(bench.identity(part), entry)
    whole = []
    for bits in bit_choices:
        timed, chosen = _uniform(graph, pairs, bits)
        whole.append((shared.setdefault(bench.identity(timed.graph), timed), chosen))
    empty = _Timed(nothing(graph), "an empty program")
    programs = [empty, *shared.values()]
    _measure(programs, bench, protocol, progress)
    disturbed = [sample.disturbed for timed in programs for sample in timed.samples]
    # Starting a program belongs to the network once, and not to each of its layers.
    start_us = empty.quiet_us
    times_us = _each(entries, lambda timed: timed.quiet_us - start_us)
    rest_us = [
        timed.quiet_us - sum(times_us[layer][pair] for layer, pair in chosen.items())
        for timed, chosen in whole
    ]
    return LayerTable(
        times_us=times_us,
        overhead_us=float(np.median(rest_us)),
        disturbed_share=float(np.mean(disturbed)),
        spreads_us=_each(entries, lambda timed: timed.spread_us),
        families=_each(entries, lambda timed: timed.family),
    )


def _each(
    entries: Mapping[str, Mapping[BitPair, _Timed]], value: Callable[[_Timed], T]
) -> dict[str, dict[BitPair, T]]:
    return {
        layer: {pair: value(timed) for pair, timed in row.items()} for layer, row in entries.items()
    }


def _uniform(
    graph: DeployGraph, pairs: Mapping[str, Iterable[BitPair]], bits: int
) -> tuple[_Timed, dict[str, BitPair]]:
    """Return the whole network at one width, and the pair that gives each layer."""
    chosen = {
        layer: next(pair for pair in choices if pair in ((bits, bits), (bits, INPUT_BITS)))
        for layer, choices in pairs.items()
    }
    return _Timed(with_random_codes(graph, chosen, _SEED), f"all layers at {bits} bits"), chosen


def _measure(
    programs: Sequence[_Timed],
    bench: LayerBench,
    protocol: ProtocolConfig,
    progress: Progress | None,
) -> None:
    """Check every program once, then time all of them in shuffled rounds.

    Programs that were hardly ever left alone get further rounds.
    """
    short = replace(protocol, warmups=_WARMUPS, repeats=_REPEATS)
    rng = np.random.default_rng(_SEED)
    total = (1 + _ROUNDS) * len(programs)
    done = 0
    for round_index in range(-1, _ROUNDS + _EXTRA_ROUNDS):
        chosen = list(programs)
        if round_index >= _ROUNDS:
            chosen = [timed for timed in programs if len(timed.quiet) < _QUIET_ROUNDS]
            total += len(chosen)
        for index in rng.permutation(len(chosen)):
            timed = chosen[index]
            if round_index < 0:
                timed.family = ", ".join(sorted(set(bench.check(timed.graph).values())))
            else:
                timed.samples.append(bench.sample(timed.graph, short))
            done += 1
            if progress is not None:
                progress(done, total, timed.what)
