"""AMEDChain: one training that goes on while its bits are sampled again and again."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from agents.amed.config import AMEDConfig
from agents.amed.score_matrix import ScoreMatrix
from agents.costs.relative_cost import RelativeCost
from agents.costs.spending import Columns, Spending, spending_of
from agents.search import SearchProblem
from agents.training.training_file import TrainingFile
from env.evaluating.evaluator import order_seed
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.layers import INPUT_BITS
from quant.network import QuantizedNetwork
from quant.retraining.accuracy import Accuracy, score_logits

_BATCH = 256


class AMEDChain:
    """The state of AMED: a network in training, the scores, the present bits, and what was tried.

    Source: Kimhi et al. 2024 (AMED), section 4. The score of a sample is
    `log10(zeta_8 / zeta) - penalty * max(0, threshold - accuracy)` with
    `zeta = loss_weight * loss + cost_weight * cost / cost_8`, both on the search split, and
    `zeta_8` that of the all-8-bit reference: a sample worse than the reference lowers the scores of
    its choices. The paper says that the penalty grows below a threshold but not, where we could
    read it, in which form: the line is ours. Its filter of the model size is the whole budget here.
    """

    def __init__(self, problem: SearchProblem, config: AMEDConfig, *, seed: int) -> None:
        """Begin, or go on where the run's state folder says."""
        self._problem, self._config = problem, config
        self._seed = seed
        self._cost = RelativeCost(problem, self._config.cost)
        self._rng = np.random.default_rng(seed)
        spending = spending_of(problem)
        self._scores = ScoreMatrix(
            len(spending.decisions), len(spending.bit_choices), self._config.temperature, self._rng
        )
        self._columns = _widest(spending)
        self._tried: dict[tuple[int, ...], float] = {}
        self._samples = 0
        self.proposed: list[Allocation] = []
        """What was proposed for evaluation, in order."""
        self._network = problem.prepare()
        self._retrainer = problem.retrainer(config.finetune)
        self._file = TrainingFile(problem.state_folder, "amed", problem.say)
        if (found := self._file.load(self._network.state_dict())) is not None:
            self._network.load_state_dict(found[0])
            self._restore(found[1])
        self._enter(self._samples)

    def propose(self, samples: int, known: Iterable[Allocation]) -> Allocation | None:
        """Train on for some samples and return the best one that is not yet known.

        Returns:
            An allocation that the layer table, corrected by what was measured, has inside the
            budget; None where nothing but known ones was found.
        """
        spending, seen = spending_of(self._problem), set(known)
        with training_lock():
            for _ in range(samples):
                self._step(spending)
        self._enter(samples)
        order = sorted(self._tried, key=self._tried.__getitem__, reverse=True)
        for choices in order:
            columns = np.array(choices, dtype=np.int64)
            allocation = spending.allocation(columns)
            if allocation not in seen and spending.inside(columns):
                self.proposed.append(allocation)
                self._file.save(self._network.state_dict(), self._notes())
                return allocation
        return None

    def _step(self, spending: Spending) -> None:
        """Sample bits, train at them, and credit the choices with the score."""
        self._columns = self._scores.sample(
            spending.nearest(self._columns),
            self._rng,
            self._config.sampler,
            lambda columns: bool(spending.inside(columns)),
        )
        score = self._score(spending)
        self._samples += 1
        self._scores.update(self._columns, score, self._config.averaging)
        key = tuple(int(column) for column in self._columns)
        self._tried[key] = max(score, self._tried.get(key, -math.inf))

    def _score(self, spending: Spending) -> float:
        config, problem = self._config, self._problem
        before = self._network.copy_state()
        self._network.set_allocation(spending.allocation(self._columns))
        threshold = problem.reference.accuracy - config.accuracy_drop
        try:
            better, _ = self._retrainer.carry_on(
                self._network, seed=order_seed(self._seed, self._samples)
            )
        except TrainingError:
            # Weights that these bits ruined are not carried on; accuracy counts as none at all.
            self._network.load_state_dict(before)
            return -config.penalty * max(0.0, threshold)
        found = self._validate(better)
        cost = self._cost.predict(spending.allocation(self._columns))
        zeta = config.loss_weight * found.loss + config.cost_weight * cost
        zeta_8 = config.loss_weight * problem.reference.loss + config.cost_weight
        return math.log10(zeta_8 / zeta) - config.penalty * max(0.0, threshold - found.value)

    @torch.no_grad()
    def _validate(self, network: QuantizedNetwork) -> Accuracy:
        """Score the present bits on the search split, in fake quantization."""
        count = self._config.validation_images
        images, labels = self._problem.search.images[:count], self._problem.search.labels[:count]
        logits = torch.cat([network.logits(part) for part in images.split(_BATCH)])
        return score_logits(logits, labels)

    def _enter(self, samples: int) -> None:
        seen = self._retrainer.images_seen(carried_on=True)
        self._problem.ledger.add(training_samples=samples * seen)

    def _notes(self) -> dict[str, Any]:
        return {
            "scores": self._scores.scores.tolist(),
            "random": self._rng.bit_generator.state,
            "columns": self._columns.tolist(),
            "tried": [[list(choices), score] for choices, score in self._tried.items()],
            "samples": self._samples,
            "proposed": [allocation.to_dict() for allocation in self.proposed],
        }

    def _restore(self, notes: dict[str, Any]) -> None:
        self._scores.scores = np.array(notes["scores"])
        self._rng.bit_generator.state = notes["random"]
        self._columns = np.array(notes["columns"], dtype=np.int64)
        self._tried = {tuple(choices): score for choices, score in notes["tried"]}
        self._samples = notes["samples"]
        self.proposed = [Allocation.from_dict(document) for document in notes["proposed"]]


def _widest(spending: Spending) -> Columns:
    """Return all-8, or what is nearest to it inside the budget."""
    return spending.nearest(spending.columns(Allocation.uniform(spending.layers, INPUT_BITS)))
