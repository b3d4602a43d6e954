"""Retraining: one allocation retrained in one order of the images, on the search split."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from env.evaluating.evaluator import order_seed
from experiments.bench.noise.bootstrap import bootstrap
from experiments.stages.network_setup import NetworkSetup
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.convert import convert
from quant.layers import MAX_BITS
from quant.objective.paired import PairedDifference, paired
from quant.objective.scores import ImageScores, Score
from quant.retraining.integer_scores import integer_scores
from quant.retraining.retrained import Kept
from quant.tensors.moving import device_of


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapErrors:
    """Standard errors of a paired difference from images drawn again, 1,000 times."""

    score: float | None
    """None of a metric that has no score of each image."""
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Retraining:
    """One allocation, retrained from the float checkpoint, on the search split."""

    allocation: Allocation
    order: int
    """Of the training images: 0 is the one that evaluations have."""
    score: Score
    beside_all_8: PairedDifference
    """Difference from all-8 in order 0."""
    beside_all_8_bootstrap: BootstrapErrors
    """The same difference's standard errors, found in another way."""
    kept: Kept
    """Whether the training was kept."""
    seconds: float
    """Of retraining, converting and scoring."""


class Bench:
    """Retrains one allocation after another, and compares each with all-8 in order 0."""

    def __init__(self, setup: NetworkSetup) -> None:
        """Retrain and score all-8 in order 0: what `all_8` holds."""
        self._setup = setup
        self._retrainer = setup.retrainer(setup.config.env.finetune)
        self._all_8: ImageScores | None = None
        self.all_8 = self.retrain(Allocation.uniform(setup.network.layers, MAX_BITS), 0)
        """The reference; its difference from itself is zero."""

    def retrain(self, allocation: Allocation, order: int) -> Retraining:
        """Retrain as an evaluation with `weights: reset` does, in one order of the images.

        Raises:
            TrainingError: the network cannot be trained at these bits.
            ConvertError: it has no integer form at them.
        """
        started = time.perf_counter()
        setup = self._setup
        network = setup.network.clone()
        network.set_allocation(allocation)
        with training_lock():
            retrained = self._retrainer.retrain(network, seed=order_seed(setup.config.seed, order))
            graph = convert(network, setup.task.network)
            search, objective = setup.task.search, setup.task.objective
            device = device_of(network)
            scores = integer_scores(graph, search.images, search.labels, objective, device=device)
        seconds = time.perf_counter() - started
        self._all_8 = self._all_8 or scores
        return Retraining(
            allocation=allocation,
            order=order,
            score=scores.score,
            beside_all_8=paired(scores, self._all_8),
            beside_all_8_bootstrap=bootstrap_errors(scores, self._all_8),
            kept=retrained.kept,
            seconds=seconds,
        )


def bootstrap_errors(candidate: ImageScores, reference: ImageScores) -> BootstrapErrors:
    """Return the standard errors of `paired` as samples of the images show them."""
    loss = _spread(candidate.loss, reference.loss)
    if candidate.each is None or reference.each is None:
        return BootstrapErrors(score=None, loss=loss)
    return BootstrapErrors(score=_spread(candidate.each, reference.each), loss=loss)


def _spread(candidate: torch.Tensor, reference: torch.Tensor) -> float:
    differences = (candidate.double() - reference.double()).numpy()
    return float(np.std(bootstrap(differences, lambda drawn: drawn.mean(0)), ddof=1))
