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
from quant.retraining.accuracy import Accuracy, ImageScores, integer_scores
from quant.retraining.paired import PairedDifference, paired
from quant.retraining.retrained import Kept


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapErrors:
    """Standard errors of a paired difference from images drawn again, 1,000 times."""

    accuracy: float
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Retraining:
    """One allocation, retrained from the float checkpoint, on the search split."""

    allocation: Allocation
    order: int
    """Of the training images: 0 is the one that evaluations have."""
    accuracy: Accuracy
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
            scores = integer_scores(graph, setup.task.search.images, setup.task.search.labels)
        seconds = time.perf_counter() - started
        self._all_8 = self._all_8 or scores
        return Retraining(
            allocation=allocation,
            order=order,
            accuracy=scores.accuracy,
            beside_all_8=paired(scores, self._all_8),
            beside_all_8_bootstrap=bootstrap_errors(scores, self._all_8),
            kept=retrained.kept,
            seconds=seconds,
        )


def bootstrap_errors(candidate: ImageScores, reference: ImageScores) -> BootstrapErrors:
    """Return the standard errors of `paired` as samples of the images show them."""
    differences = torch.stack(
        [
            candidate.correct.double() - reference.correct.double(),
            candidate.loss.double() - reference.loss.double(),
        ],
        dim=1,
    ).numpy()
    accuracy, loss = np.std(bootstrap(differences, lambda drawn: drawn.mean(0)), axis=0, ddof=1)
    return BootstrapErrors(accuracy=float(accuracy), loss=float(loss))
