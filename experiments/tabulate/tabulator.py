"""Tabulator: a process of a Ray cluster that retrains allocations and returns their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version

import torch

from env.decisions.space import decision_space
from env.tasks.task import Split
from experiments.cluster.crew import Crew
from experiments.cluster.open_pool import training_job
from experiments.cluster.training_actor import TrainingJob
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import NetworkSetup
from experiments.tabulate.walk import Subject, walk
from experiments.truth.row import TruthRow
from experiments.truth.subject import TruthSource, source_here
from experiments.truth.subspace import Subspace
from hardware.measuring.host_facts import standing_facts
from quant.errors import BitAllocError
from quant.retraining.retrainer import Retrainer
from quant.tensors.devices import choose_device
from quant.tensors.moving import place

_TOGETHER = 2
"""Decisions whose widths are one piece of work."""


class Tabulator:
    """Walks one part of a space after another; each row comes to what it does anywhere."""

    def __init__(self, job: TrainingJob) -> None:
        """Take the job, and nothing of this machine but its device."""
        torch.set_num_threads(job.threads)
        network, config = job.network.clone(), job.config
        place(network, choose_device(config.device))
        train, search, objective = job.train, job.search, job.objective
        retrainer = Retrainer(
            network,
            train.images,
            train.labels,
            config.finetune,
            loss=objective.loss,
            augment=job.augment,
        )
        space = decision_space(network.layers, config.bit_choices, config.layer_rules)
        self._subject = Subject(
            subspace=Subspace(space=space),
            basis=retrainer.basis,
            search=search,
            objective=objective,
            run_seed=job.seed,
        )

    def rows(
        self, wanted: Sequence[int], seed: int
    ) -> tuple[TruthSource, list[TruthRow]] | BitAllocError:
        """Return rows as `walk` yields them, all-8's first, and on what they were made."""
        source = source_here(standing_facts()["cpu"], version("torch"))
        try:
            return source, list(walk(self._subject, wanted, seed))
        except BitAllocError as error:
            return error


def walk_together(
    setup: NetworkSetup, search: Split, subspace: Subspace, wanted: Sequence[tuple[int, list[int]]]
) -> Iterator[tuple[TruthSource, list[TruthRow]]]:
    """Have the workers of a cluster walk a space; yield what each part comes to, in order.

    Args:
        setup: The network, the data, and in its configuration the cluster.
        search: What every retraining is scored on.
        subspace: What is walked.
        wanted: Seeds, with the numbers of allocations in increasing order.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
        TrainingError: weights or values are not finite.
        HardwareLostError: no machine is left.
    """
    config: RunConfig = setup.config
    job = training_job(config, replace(setup.task, search=search), setup.network)
    crew = Crew(config.train, Tabulator, job, threads=job.threads, device=job.config.device)
    try:
        asked = [
            crew.ask("rows", part, seed)
            for seed, numbers in wanted
            for part in parts_of(subspace, numbers)
        ]
        for piece in asked:
            yield piece.result()
    finally:
        crew.close()


def parts_of(subspace: Subspace, numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield allocations that begin alike, which share the stages of their retraining."""
    size = piece_size(subspace)
    parts: dict[int, list[int]] = {}
    for number in numbers:
        parts.setdefault(number // size, []).append(number)
    yield from parts.values()


def piece_size(subspace: Subspace) -> int:
    """Return how many allocations begin alike in the first decisions."""
    return len(subspace.numbers(tuple(menu[0] for menu in subspace.menus[:_TOGETHER])))
