"""The pool that a run's configuration asks for, for as long as the run goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

from env.evaluating.training_pool import Pool
from env.tasks import Task
from experiments.cluster.ray_pool import RayPool
from experiments.cluster.training_actor import TrainingJob
from experiments.settings.run_config import RunConfig
from quant.network import QuantizedNetwork


@contextmanager
def training_pool(
    config: RunConfig, task: Task, network: QuantizedNetwork
) -> Iterator[Pool | None]:
    """Yield who retrains candidates; None where this process does.

    Args:
        config: Names the cluster, and how candidates are retrained.
        task: Has the images and the objective.
        network: Calibrated, at the float checkpoint.

    Raises:
        ConfigError: Ray is not installed, no cluster answers, or it can retrain nothing.
    """
    if not config.train.ray:
        yield None
        return
    pool = RayPool(config.train, training_job(config, task, network))
    try:
        yield pool
    finally:
        pool.close()


def training_job(config: RunConfig, task: Task, network: QuantizedNetwork) -> TrainingJob:
    """Return what workers hold to retrain as this process would, scored on the search split."""
    return TrainingJob.of(
        network,
        task.train,
        task.search,
        config.env,
        objective=task.objective,
        augment=task.augment,
        seed=config.seed,
    )
