"""Loader bench: whether images come as soon as they are trained on."""

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from pydantic import model_serializer
from rich.table import Table

from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.records.json_form import Plain
from quant.records.ranges import Count, check_ranges
from quant.retraining.loop import index_batches
from quant.retraining.retrainer import Retrainer
from quant.tensors.images import Images, Numbered, in_batches

_HELD = 512
"""Images that are in memory for what is compared there."""
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderOptions(ConfiguredOptions):
    """Images a second that are read, that one core trains on, and that come out of memory.

    Give `--task.data` a folder and `--task.cache-mb` a size that it does not fit into.
    """

    rounds: Count = 3
    """Times that each is timed, in turns."""
    batches: Count = 16
    """Batches each time (`env.finetune.batch_size`)."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse counts that are none."""
        check_ranges(self, "--", BenchError)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderBench:
    """Images a second, one figure for each round."""

    task: str
    network: str
    workers: int | None
    batch: int
    read: tuple[float, ...]
    """From the disk, in a new order, by the worker processes."""
    trained: tuple[float, ...]
    """In retraining steps at 8 bits on one thread, of images in memory."""
    in_memory: tuple[float, ...]
    """In a new order out of a tensor, as retraining takes them."""
    picked: tuple[float, ...]
    """The same, by plain indexing."""

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {
            **plain(self),
            "read_share": statistics.median(self.read) / statistics.median(self.trained),
            "memory_share": statistics.median(self.in_memory) / statistics.median(self.picked),
        }


def bench_loader(options: LoaderOptions) -> LoaderBench:
    """Time all four, in turns.

    Raises:
        BenchError: the images are all in memory.
    """
    config = options.config
    threads = torch.get_num_threads()
    with LiveProgress(quiet=config.quiet) as progress:
        setup = set_up_network(config, progress)
        images = setup.task.train.images
        if isinstance(images, torch.Tensor):
            raise BenchError(
                "expected images that are read from the disk, found all of them in memory",
                "name a folder with --task.data, and less than it needs with --task.cache-mb",
            )
        held = images[: min(_HELD, len(images))]
        found: dict[str, list[float]] = {"read": [], "trained": [], "in_memory": [], "picked": []}
        batch = config.env.finetune.batch_size
        for number in range(options.rounds):
            read = _order(len(images), batch, options.batches, number)
            there = list(_order(len(held), batch, options.batches, number))
            found["read"].append(_rate(each for _, _, each in in_batches(images, read)))
            torch.set_num_threads(1)
            found["trained"].append(_trained(setup, held, options.batches))
            torch.set_num_threads(threads)
            found["in_memory"].append(_rate(each for _, _, each in in_batches(held, there)))
            found["picked"].append(_rate(held[numbers] for _, numbers in there))
            progress.stage("rounds", number + 1, options.rounds)
    return LoaderBench(
        task=config.task.name,
        network=setup.task.network,
        workers=config.task.workers,
        batch=batch,
        **{name: tuple(rates) for name, rates in found.items()},
    )


def _order(count: int, batch: int, batches: int, seed: int) -> Iterator[Numbered]:
    generator = torch.Generator().manual_seed(_SEED + seed)
    return islice(index_batches(count, batch, generator), batches)


def _rate(batches: Iterable[torch.Tensor]) -> float:
    started = time.perf_counter()
    count = sum(map(len, batches))
    return count / (time.perf_counter() - started)


def _trained(setup: NetworkSetup, images: Images, steps: int) -> float:
    """Return the images a second of retraining steps alone; the teacher looks at them before."""
    config = replace(
        setup.config.env.finetune, steps=steps, held_back_images=0, compensation_images=0
    )
    labels = setup.task.train.labels[: len(images)]
    basis = Retrainer(setup.network, images, labels, config, loss=setup.task.objective.loss).basis
    network = basis.checkpoint.clone()
    network.set_allocation(Allocation.uniform(network.layers, MAX_BITS))
    basis.finetune(network.clone(), 1.0, _SEED)
    done = basis.finetune(network, 1.0, _SEED)
    seen = sum(len(n) for _, n in _order(len(images), config.batch_size, steps, 0))
    return seen / done.seconds


def draw_loader(bench: LoaderBench) -> Table:
    """Draw the rates, and the shares that are asked for."""
    document = {
        "read from the disk": bench.read,
        "trained on by one thread": bench.trained,
        "out of memory, as retraining takes them": bench.in_memory,
        "out of memory, by plain indexing": bench.picked,
    }
    table = Table(
        caption=f"{bench.task}, {bench.network}, batches of {bench.batch}, "
        f"{'usual' if bench.workers is None else bench.workers} workers; images a second: median, "
        f"least and most of {len(bench.read)} rounds",
        caption_justify="left",
    )
    table.add_column("")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    for name, rates in document.items():
        figures = (statistics.median(rates), min(rates), max(rates))
        table.add_row(name, *(f"{figure:,.0f}" for figure in figures))
    return table
