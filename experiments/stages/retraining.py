"""Final retraining: allocations from the float checkpoint, as long as `final` says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from env.evaluating.training_pool import WorkersConfig
from env.tasks import Split
from experiments.cluster.crew import Crew
from experiments.cluster.training_actor import TrainingJob
from experiments.stages.network_setup import NetworkSetup, module_scores
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.errors import BitAllocError
from quant.network import QuantizedNetwork
from quant.objective.objective import Objective
from quant.objective.scores import ImageScores
from quant.records.progress import Progress
from quant.retraining.integer_scores import integer_scores
from quant.retraining.retrained import Retrained
from quant.retraining.retrainer import Retrainer
from quant.tensors.moving import device_of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinalNetwork:
    """One allocation, retrained, converted and scored."""

    graph: DeployGraph
    retraining: Retrained
    """Whether it is the trained one, or the one that it began as."""
    scores: ImageScores


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinalJob:
    """Everything but the allocation that decides what its last retraining comes to."""

    training: TrainingJob
    """Its `env.finetune` is the run's `final`; what it calls the search split is scored on."""
    name: str
    """Of the network."""


class FinalTrainer:
    """A process of a Ray cluster that retrains answers; each comes to what it does anywhere."""

    def __init__(self, job: FinalJob) -> None:
        """Take the job, and nothing of this machine but its device."""
        training = job.training
        self._network = training.take_network()
        self._retrainer = Retrainer(
            self._network,
            training.train.images,
            training.train.labels,
            training.config.finetune,
            loss=training.objective.loss,
            augment=training.augment,
        )
        self._job = job

    def retrain(self, allocation: Allocation) -> FinalNetwork | BitAllocError:
        """Return what `retrain_and_score` does; an error that is the candidate's own is a value."""
        training = self._job.training
        try:
            network, retrained = self._retrained(allocation)
            with training_lock():
                graph = convert(network, self._job.name)
            scores = _integer_scores(graph, self._network, training.search, training.objective)
        except BitAllocError as error:
            return error
        return FinalNetwork(graph=graph, retraining=retrained, scores=scores)

    def retrain_float(self) -> ImageScores | BitAllocError:
        """Return what `retrain_float_and_score` does."""
        try:
            network, _ = self._retrained(None)
            return module_scores(network, self._job.training.search, self._job.training.objective)
        except BitAllocError as error:
            return error

    def _retrained(self, allocation: Allocation | None) -> tuple[QuantizedNetwork, Retrained]:
        return _retrain_clone(
            self._network, self._retrainer, allocation, self._job.training.seed, None
        )


def retrain(
    setup: NetworkSetup, allocation: Allocation, progress: Progress | None = None
) -> tuple[DeployGraph, Retrained]:
    """Retrain one allocation and convert it; equal arguments give equal weights.

    Args:
        setup: The network at its float checkpoint, and the data. The `final` section of its
            configuration says how long; its seed orders the images.
        allocation: The bits.
        progress: Called with (steps done, steps in all).
    """
    network, retrained = _retrain_network(setup, allocation, progress)
    with training_lock():
        return convert(network, setup.task.network), retrained


def retrain_and_score(
    setup: NetworkSetup,
    allocation: Allocation,
    split: Split,
    progress: Progress | None = None,
) -> FinalNetwork:
    """Retrain as `retrain` does, and score the integer network on a split."""
    graph, retrained = retrain(setup, allocation, progress)
    scores = _integer_scores(graph, setup.network, split, setup.task.objective)
    return FinalNetwork(graph=graph, retraining=retrained, scores=scores)


def retrain_float_and_score(
    setup: NetworkSetup, split: Split, progress: Progress | None = None
) -> ImageScores:
    """Retrain the float network by as many steps, and score it: the like-for-like of `retrain`."""
    network, _ = _retrain_network(setup, None, progress)
    return module_scores(network, split, setup.task.objective)


def retrain_together(
    setup: NetworkSetup,
    allocations: Mapping[str, Allocation],
    split: Split,
    workers: WorkersConfig,
    progress: Progress | None = None,
) -> tuple[dict[str, FinalNetwork], ImageScores]:
    """Have the workers of a cluster retrain allocations, and the float network beside them.

    Args:
        setup: The network at its float checkpoint, and the data.
        allocations: The bits, by name.
        split: What all are scored on.
        workers: The cluster, and how many.
        progress: Called with (retrainings done, retrainings in all).

    Returns:
        What `retrain_and_score` and `retrain_float_and_score` do, to the bit.

    Raises:
        ConfigError: Ray is not installed, no cluster answers, or it can retrain nothing.
        TrainingError: weights or values are not finite.
        HardwareLostError: nobody is left who could do it.
    """
    config = setup.config
    training = TrainingJob.of(
        setup.network,
        setup.task.train,
        split,
        replace(config.env, finetune=config.final),
        objective=setup.task.objective,
        augment=setup.task.augment,
        seed=config.seed,
    )
    job = FinalJob(training=training, name=setup.task.network)
    crew = Crew(workers, FinalTrainer, job, threads=training.threads, device=training.config.device)
    try:
        asked = {name: crew.ask("retrain", bits) for name, bits in allocations.items()}
        float_asked = crew.ask("retrain_float")
        found = {}
        for done, (name, piece) in enumerate(asked.items(), start=1):
            found[name] = piece.result()
            if progress:
                progress(done, len(asked) + 1)
        return found, float_asked.result()
    finally:
        crew.close()


def _integer_scores(
    graph: DeployGraph, network: QuantizedNetwork, split: Split, objective: Objective
) -> ImageScores:
    """Score an integer network on the device where the float one is."""
    with training_lock():
        return integer_scores(
            graph, split.images, split.labels, objective, device=device_of(network)
        )


def _retrain_network(
    setup: NetworkSetup, allocation: Allocation | None, progress: Progress | None
) -> tuple[QuantizedNetwork, Retrained]:
    retrainer = setup.retrainer(setup.config.final)
    return _retrain_clone(setup.network, retrainer, allocation, setup.config.seed, progress)


def _retrain_clone(
    network: QuantizedNetwork,
    retrainer: Retrainer,
    allocation: Allocation | None,
    seed: int,
    progress: Progress | None,
) -> tuple[QuantizedNetwork, Retrained]:
    clone = network.clone()
    clone.set_allocation(allocation)
    with training_lock():
        return clone, retrainer.retrain(clone, seed=seed, progress=progress)
