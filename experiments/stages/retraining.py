"""Final retraining: one allocation from the float checkpoint, as long as `final` says."""

from dataclasses import dataclass

from env.tasks import Split
from experiments.stages.network_setup import NetworkSetup, module_scores
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.network import QuantizedNetwork
from quant.objective.scores import ImageScores
from quant.records.progress import Progress
from quant.retraining.integer_scores import integer_scores
from quant.retraining.retrained import Retrained
from quant.tensors.moving import device_of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FinalNetwork:
    """One allocation, retrained, converted and scored."""

    graph: DeployGraph
    retraining: Retrained
    """Whether it is the trained one, or the one that it began as."""
    scores: ImageScores


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
    with training_lock():
        scores = integer_scores(
            graph,
            split.images,
            split.labels,
            setup.task.objective,
            device=device_of(setup.network),
        )
    return FinalNetwork(graph=graph, retraining=retrained, scores=scores)


def retrain_float_and_score(
    setup: NetworkSetup, split: Split, progress: Progress | None = None
) -> ImageScores:
    """Retrain the float network by as many steps, and score it: the like-for-like of `retrain`."""
    network, _ = _retrain_network(setup, None, progress)
    return module_scores(network, split, setup.task.objective)


def _retrain_network(
    setup: NetworkSetup, allocation: Allocation | None, progress: Progress | None
) -> tuple[QuantizedNetwork, Retrained]:
    network = setup.network.clone()
    network.set_allocation(allocation)
    with training_lock():
        retrained = setup.retrainer(setup.config.final).retrain(
            network, seed=setup.config.seed, progress=progress
        )
    return network, retrained
