"""The layer table: every layer timed at every bit pair, and what no layer accounts for.

Whole programs are timed, and in each of them every layer where it runs: alone, a layer would find
its weights and its input in the nearest cache. The programs' bits are drawn so that every kernel of
every layer runs in several of them, beside ever other neighbours. The overhead is what programs
take beyond their layers' sum. All timings are interleaved over several rounds, so that a slow
minute of a shared machine falls on all of them alike.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from hardware.graph.borders import with_borders
from hardware.graph.island_times import island_key
from hardware.graph.random_codes import layer_alone, with_random_codes
from hardware.graph.spread_choices import spread_choices
from hardware.graph.tensor_widths import BitPair, fixed_tensors, quantizers
from hardware.layers.table import LayerTable
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.quiet import QUIET_ROUNDS, at_quiet_quarter
from hardware.progress import LabelledProgress
from quant.deploy_graph import Conv2d, DeployGraph, Linear, MatMul, RunIsland, read_names
from quant.layers import INPUT_BITS

T = TypeVar("T")

_ROUNDS = 5
_EXTRA_ROUNDS = 5
"""Further rounds for programs with fewer than `QUIET_ROUNDS` quiet ones: where a neighbour took
half the core for four timings in five, a third of the times were half too high without."""
_CONTEXTS = 3
"""Programs in which a kernel should run at least: its time depends on its neighbours a little."""
_REPEATS = 5
_WARMUPS = 1
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramTiming:
    """One short timing of one program and of its layers."""

    values_us: tuple[float, ...]
    """Of the whole program, one for each repeat."""
    layers_us: Mapping[str, float]
    """Of each layer and each float island inside it."""
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

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> ProgramTiming:
        """Time a graph whose layers were checked before, and its layers inside it."""


@dataclass(slots=True)
class _Timed:
    """One program and everything that was measured of it."""

    graph: DeployGraph
    chosen: Mapping[str, BitPair]
    samples: list[ProgramTiming] = field(default_factory=list)

    def quiet_us(self, layer: str | None = None) -> float:
        """Return a quiet round's time of a layer, or of the program: of five, the second quietest.

        Rounds that the ruler calls disturbed count only where there is nothing else.
        """
        return at_quiet_quarter(_times_us(self.quiet or self.samples, layer), float)

    def spread_us(self, layer: str) -> float:
        """Return the distance from the quietest round to the middle one: how well it is known.

        The upper half of the rounds says what else ran on the machine, and not how well a quiet
        round repeats. A single quiet round says nothing of that: then all rounds count.
        """
        samples = self.quiet if len(self.quiet) >= QUIET_ROUNDS else self.samples
        times = sorted(_times_us(samples, layer))
        return times[len(times) // 2] - times[0]

    @property
    def quiet(self) -> list[ProgramTiming]:
        """The samples that nothing disturbed."""
        return [sample for sample in self.samples if not sample.disturbed]


def _times_us(samples: Iterable[ProgramTiming], layer: str | None) -> list[float]:
    return [
        float(np.median(sample.values_us)) if layer is None else sample.layers_us[layer]
        for sample in samples
    ]


def bit_pairs(
    graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool = False
) -> dict[str, tuple[BitPair, ...]]:
    """Return the bit pairs that each layer may have; the network's input keeps its 8 bits.

    Of a product of two tensors, the bits of the right one stand where weights have theirs; both
    are the same where they have one quantizer.

    Args:
        graph: The converted network.
        bit_choices: The widths that may be chosen.
        equal_bits: Only weights and activations of one width, where the layer may choose both.
    """
    fixed, of = fixed_tensors(graph), quantizers(graph)

    def pairs(op: Conv2d | Linear | MatMul) -> tuple[BitPair, ...]:
        inputs = read_names(op)
        read_fixed, right_fixed = (name in fixed for name in (inputs[0], inputs[-1]))
        product = isinstance(op, MatMul)
        weights = (INPUT_BITS,) if product and right_fixed else bit_choices
        activations = (INPUT_BITS,) if read_fixed else bit_choices
        free = len(weights) > 1 and len(activations) > 1
        equal = equal_bits or (product and of[inputs[0]] == of[inputs[1]])
        return tuple(
            (weight_bits, activation_bits)
            for weight_bits in weights
            for activation_bits in activations
            if weight_bits == activation_bits or not (equal and free)
        )

    return {op.layer: pairs(op) for op in graph.decided_ops()}


def time_layers(
    graph: DeployGraph,
    bit_choices: Sequence[int],
    bench: LayerBench,
    protocol: ProtocolConfig,
    progress: LabelledProgress | None = None,
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
    single: dict[Hashable, DeployGraph] = {}
    kernels: dict[str, dict[BitPair, Hashable]] = {layer: {} for layer in pairs}
    for layer, choices in pairs.items():
        for pair in choices:
            part = layer_alone(graph, layer, pair, _SEED)
            kernels[layer][pair] = bench.identity(part)
            single.setdefault(kernels[layer][pair], part)
    programs = _covering(graph, kernels, bit_choices, equal_bits)
    families = _measure(programs, single, bench, protocol, progress)

    def entries(value: Callable[[str, Sequence[_Timed]], T]) -> dict[str, dict[BitPair, T]]:
        """Return a value for each layer and pair, from the programs in which its kernel runs."""
        return {
            layer: {
                pair: value(
                    layer, [timed for timed in programs if row[timed.chosen[layer]] == kernel]
                )
                for pair, kernel in row.items()
            }
            for layer, row in kernels.items()
        }

    times_us = entries(lambda layer, found: _median(timed.quiet_us(layer) for timed in found))
    disturbed = [sample.disturbed for timed in programs for sample in timed.samples]
    return LayerTable(
        times_us=times_us,
        overhead_us=_median(
            timed.quiet_us() - sum(times_us[layer][pair] for layer, pair in timed.chosen.items())
            for timed in programs
        ),
        source="measured",
        disturbed_share=float(np.mean(disturbed)),
        spreads_us=entries(lambda layer, found: _median(timed.spread_us(layer) for timed in found)),
        islands_us={
            op.name: _median(timed.quiet_us(island_key(op.name)) for timed in programs)
            for op in graph.ops
            if isinstance(op, RunIsland)
        },
        families={
            layer: {pair: families[kernel] for pair, kernel in row.items()}
            for layer, row in kernels.items()
        },
    )


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _covering(
    graph: DeployGraph,
    kernels: Mapping[str, Mapping[BitPair, Hashable]],
    bit_choices: Sequence[int],
    equal_bits: bool,
) -> list[_Timed]:
    """Return programs in which every kernel of every layer runs, `_CONTEXTS` times if possible."""
    seen: Counter[tuple[str, Hashable]] = Counter()
    programs: list[_Timed] = []
    for chosen in spread_choices(graph, bit_choices, equal_bits=equal_bits, seed=_SEED):
        uses = [(layer, kernels[layer][pair]) for layer, pair in chosen.items()]
        if programs and all(seen[use] >= _CONTEXTS for use in uses):
            continue
        seen.update(uses)
        programs.append(_Timed(with_random_codes(graph, chosen, _SEED), chosen))
    return programs


def _measure(
    programs: Sequence[_Timed],
    single: Mapping[Hashable, DeployGraph],
    bench: LayerBench,
    protocol: ProtocolConfig,
    progress: LabelledProgress | None,
) -> dict[Hashable, str]:
    """Check every kernel once, then time all programs in shuffled rounds; return the families.

    Kernels are compiled and checked one at a time, so that the limit for one candidate is enough.
    Programs that were hardly ever left alone get further rounds.
    """
    short = replace(protocol, warmups=_WARMUPS, repeats=_REPEATS)
    rng = np.random.default_rng(_SEED)
    total = len(single) + _ROUNDS * len(programs)
    done = 0

    def report(what: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, what)

    families = {}
    for kernel, part in single.items():
        families[kernel] = ", ".join(sorted(set(bench.check(part).values())))
        report(part.network)
    for round_index in range(_ROUNDS + _EXTRA_ROUNDS):
        chosen = list(programs)
        if round_index >= _ROUNDS:
            chosen = [timed for timed in programs if len(timed.quiet) < QUIET_ROUNDS]
            total += len(chosen)
        for index in rng.permutation(len(chosen)):
            chosen[index].samples.append(bench.sample(chosen[index].graph, short))
            report(f"round {round_index + 1}")
    return families
