"""Noise bench: random and uniform allocations, each retrained in two orders of the images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.bench.allocations import random_allocations
from experiments.bench.noise.kept import KeptRetrainings
from experiments.bench.noise.results import NoiseBench, Pair, summarise
from experiments.bench.noise.retraining import Bench
from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.stages.network_setup import set_up_network
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.records.ranges import at_least, check_ranges

_ORDERS = (0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseOptions(ConfiguredOptions):
    """How noisy a task is, and how additive: spread over seeds and images, and what a sum explains.

    Random allocations are retrained as evaluations are (`env.finetune`, always from the float
    checkpoint), each in two orders of the same images. Nothing is built or timed.
    """

    pairs: Annotated[int, at_least(2)] = 40
    """Random allocations of `env.bit_choices`, each retrained twice."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there; each retraining goes to the same name with .jsonl as soon as it
    is done, and is not done again."""

    def __post_init__(self) -> None:
        """Refuse a single allocation, which has no spread."""
        check_ranges(self, "--", BenchError)


def bench_noise(options: NoiseOptions) -> NoiseBench:
    """Retrain uniform and random allocations in two orders each, and score the search split.

    Raises:
        BenchError: the network has fewer allocations than are asked for.
        RunFolderError: the file of an earlier part is of something else.
        TrainingError: an allocation cannot be trained.
        ConvertError: an allocation has no integer form.
    """
    config = options.config
    with LiveProgress(quiet=config.quiet) as progress:
        setup = set_up_network(config, progress)
        layers = setup.network.layers
        drawn = random_allocations(layers, options.pairs, config.seed, config.env.bit_choices)
        uniform = [Allocation.uniform(layers, bits) for bits in reversed(setup.widths)]
        kept = KeptRetrainings(
            Bench(setup), options.json.with_suffix(".jsonl") if options.json else None
        )
        pairs: list[Pair] = []
        total = len(uniform) + len(drawn)
        for allocation in (*uniform, *drawn):
            first, second = (kept.get(allocation, order) for order in _ORDERS)
            pairs.append((first, second))
            progress.stage("pairs", len(pairs), total)
    return summarise(
        layers,
        tuple(pairs[: len(uniform)]),
        tuple(pairs[len(uniform) :]),
        task=config.task.name,
        seed=config.seed,
    )
