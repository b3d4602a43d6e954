"""Workers bench: evaluations an hour with a cluster, beside plain processes of the same work."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from env.evaluating.evaluator import Evaluator
from env.evaluating.training_pool import WorkersConfig
from experiments.bench.allocations import random_allocations
from experiments.bench.workers.plain import PlainProcesses, plain_processes
from experiments.bench.workers.results import Round, WorkersBench
from experiments.cluster.open_pool import training_job
from experiments.cluster.ray_extra import AUTO
from experiments.cluster.ray_pool import RayPool
from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.terminal.progress import LiveProgress
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.records.ranges import Count, check_ranges

_ALONE = 8
"""Retrainings that are asked for one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkersOptions(ConfiguredOptions):
    """Evaluations an hour with `--train.workers` on this machine, and what Ray takes of one.

    Random allocations are retrained as evaluations are and measured on the simulated device, which
    takes no time; then as many plain processes train the same ones side by side. Both hold the
    float checkpoint before the clock starts. Set OMP_NUM_THREADS to the processors of a worker.
    """

    rounds: Count = 3
    """Times that both take their turn, each time with other allocations."""
    each: Count = 8
    """Evaluations of each worker in a round."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse counts that are none."""
        check_ranges(self, "--", BenchError)


def bench_workers(options: WorkersOptions) -> WorkersBench:
    """Let workers and plain processes take turns.

    Raises:
        ConfigError: Ray is not installed, or this machine has too few processors.
        BenchError: the network has fewer allocations than are asked for.
        TrainingError: an allocation cannot be trained.
    """
    config = replace(
        options.config,
        train=WorkersConfig(
            ray=options.config.train.ray or AUTO, workers=options.config.train.workers
        ),
    )
    workers = config.train.workers
    with LiveProgress(quiet=config.quiet) as progress:
        setup = set_up_network(config, progress)
        size = options.each * workers
        count = options.rounds * size + workers + _ALONE
        drawn = random_allocations(setup.network.layers, count, config.seed, config.env.bit_choices)
        job = training_job(config, setup.task, setup.network)
        pool = RayPool(config.train, job)
        try:
            with plain_processes(workers, job) as plain:
                _warm_up(pool, plain, drawn[:workers])
                overheads = [_overhead_s(pool, each) for each in drawn[workers : workers + _ALONE]]
                rounds, trainings = list[Round](), list[float]()
                for number in range(options.rounds):
                    part = drawn[len(drawn) - (number + 1) * size :][:size]
                    found, seconds = _take_turns(setup, pool, plain, part, number)
                    rounds.append(found)
                    trainings += seconds
                    progress.stage("rounds", number + 1, options.rounds)
        finally:
            pool.close()
    return WorkersBench(
        task=config.task.name,
        workers=workers,
        threads=job.threads,
        cpus=os.cpu_count() or 1,
        rounds=tuple(rounds),
        trainings_s=tuple(trainings),
        overheads_s=tuple(overheads),
    )


def _warm_up(pool: RayPool, plain: PlainProcesses, allocations: Sequence[Allocation]) -> None:
    """Have everybody compute what all of their retrainings share."""
    for asked in [pool.submit(allocation, 0) for allocation in allocations]:
        asked.result()
    plain.train(allocations)


def _take_turns(
    setup: NetworkSetup,
    pool: RayPool,
    plain: PlainProcesses,
    part: Sequence[Allocation],
    number: int,
) -> tuple[Round, list[float]]:
    """Let both do the same work, the one and the other first in turn."""
    if number % 2:
        plain_s = plain.train(part)
    evaluator = _evaluator(setup, pool, len(part))
    started = time.perf_counter()
    found = evaluator.evaluate(part)
    cluster_s = time.perf_counter() - started
    if not number % 2:
        plain_s = plain.train(part)
    done = Round(evaluations=len(part), plain_s=plain_s, cluster_s=cluster_s)
    return done, [evaluation.train_s for evaluation in found]


def _evaluator(setup: NetworkSetup, pool: RayPool, limit: int) -> Evaluator:
    config, task = setup.config, setup.task
    return Evaluator(
        setup.network.clone(),
        SimulatedDevice(config.protocol),
        task.train,
        task.search,
        config.env,
        seed=config.seed,
        limit=limit,
        objective=task.objective,
        augment=task.augment,
        pool=pool,
        proposals=limit,
    )


def _overhead_s(pool: RayPool, allocation: Allocation) -> float:
    """Return what one retraining takes beside its own seconds, with nothing else going on."""
    started = time.perf_counter()
    trained = pool.submit(allocation, 0).result()
    return time.perf_counter() - started - trained.seconds
