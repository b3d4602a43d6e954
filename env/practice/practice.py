"""Practice: a model of the environment, corrected by every real evaluation.

Time and energy come from the measured layer table, times what whole programs turned out to take of
it.
Quality (the accuracy, or what `Metric.quality` makes of another score) is all-8-bit's less a linear
response to each decision: how far the measured sensitivity says the loss would rise (on a log
scale, because retraining wins most of a large rise back), and a small part that falls with the
bits. The response's weights have a Gaussian prior and are fitted to the real evaluations (ridge
regression), so that practice agrees more and more with what was measured.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace
from env.evaluating.evaluation import Evaluation
from env.evaluating.seen_look import SeenLook
from env.practice.scales import Scales, measured_over_predicted
from env.sensitivity.sensitivities import Sensitivities, decision_rise
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS

_PRIOR_RISE = 0.01
"""Quality lost for each unit of log(1 + rise of the loss), before anything was evaluated."""
_PRIOR_WIDTH = 0.002
"""Quality lost at 2 bits beyond that; half of it at 3 bits, and so on."""
_PRIOR_OFFSET = 0.01
"""Spread of the difference between the reference and where training has got to by now."""
_PRIOR_FACTOR = 3.0
"""Rise of the loss for each unit of quality lost: about .03 for a point of accuracy."""
_FACTOR_FROM = 0.05
"""Quality lost in looks that weigh as much as that."""
_LEAST_NOISE = 0.003
"""Spread of real qualities that retraining adds to the one over images."""


class PracticeEvaluator:
    """Predicts evaluations; every one is marked `practice`."""

    def __init__(
        self,
        space: DecisionSpace,
        table: LayerTable,
        sensitivities: Sensitivities,
        reference: Evaluation,
    ) -> None:
        """Start from the prior.

        Args:
            space: What may be decided.
            table: Measured times.
            sensitivities: Rise of the loss of each (layer, kind, bits).
            reference: The all-8-bit evaluation.
        """
        self._space = space
        self._table = table
        self._sensitivities = sensitivities
        self._reference = reference
        count = len(space.decisions)
        self._prior_mean = np.concatenate(
            [np.full(count, _PRIOR_RISE), np.full(count, _PRIOR_WIDTH), [0.0]]
        )
        self._prior_spread = np.concatenate(
            [np.full(count, _PRIOR_RISE), np.full(count, _PRIOR_WIDTH), [_PRIOR_OFFSET]]
        )
        self._weights = self._prior_mean
        # A policy that settles asks for the same allocations again and again.
        self._feature_of: dict[Allocation, npt.NDArray[np.float64]] = {}
        self._feature_of_8 = self._feature(Allocation.uniform(space.layers, MAX_BITS))
        self._features: list[npt.NDArray[np.float64]] = []
        self._losses: list[float] = []
        self._noise: list[float] = []
        self._measured: list[Evaluation] = []
        self._factor = _PRIOR_FACTOR
        self.scales = Scales()
        """Measured over predicted values, the medians of all real evaluations so far."""

    def observe(self, evaluation: Evaluation) -> None:
        """Learn from a real evaluation; failed ones say nothing about quality."""
        if evaluation.error or evaluation.practice:
            return
        self._features.append(self._feature(evaluation.allocation))
        self._losses.append(self._reference.quality - evaluation.quality)
        error = evaluation.metric.quality_se(evaluation.score, evaluation.score_se)
        self._noise.append(math.hypot(error, _LEAST_NOISE))
        self._fit()
        self._measured.append(evaluation)
        self._factor = self._fit_factor()
        self.scales = measured_over_predicted(self._measured, self._table)

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Predict allocations, in order."""
        return [self._predict(allocation) for allocation in allocations]

    def begin_episode(self) -> "PracticeEpisode":
        """Return an episode that shows what this model expects of each decision."""
        return PracticeEpisode(self)

    def expected_look(self, bits: Sequence[int]) -> SeenLook:
        """Return what a look after the latest of some decisions would say, if this model is right.

        Args:
            bits: Widths of the first decisions.
        """
        before, after = (self._factor * self._lost(bits[:end]) for end in (-1, len(bits)))
        return SeenLook(
            loss=self._reference.loss + after,
            change=after - before,
            beside_reference=after,
            response=after - before,
        )

    def _lost(self, bits: Sequence[int]) -> float:
        """Return the quality that the first decisions are expected to lose against all-8."""
        undecided = (MAX_BITS,) * (len(self._space.decisions) - len(bits))
        feature = self._feature(self._space.allocation((*bits, *undecided)))
        return float((feature - self._feature_of_8) @ self._weights)

    def _fit_factor(self) -> float:
        """Return the rise of the loss for each unit of quality lost, as looks so far say."""
        rises, losses = _PRIOR_FACTOR * _FACTOR_FROM, _FACTOR_FROM
        for evaluation in self._measured:
            for end, look in enumerate(evaluation.looks, 1):
                if end == len(self._space.decisions) and look.beside_reference is not None:
                    rises += max(0.0, look.beside_reference)
                    losses += max(0.0, self._lost(self._space.bits_of(evaluation.allocation)))
        return rises / losses

    def _predict(self, allocation: Allocation) -> Evaluation:
        predicted_mj = self._table.predict_mj(allocation)
        lost = float(self._feature(allocation) @ self._weights)
        metric = self._reference.metric
        score = metric.score(self._reference.quality - lost)
        return Evaluation(
            allocation=allocation,
            index=-1,
            metric=metric,
            score=min(1.0, max(0.0, score)) if metric.is_share else score,
            score_se=0.0,
            loss=math.nan,
            model_bytes=model_bytes(self._space.layers, allocation),
            predicted_ms=self._table.predict_ms(allocation) * self.scales.latency,
            predicted_mj=None if predicted_mj is None else predicted_mj * self.scales.energy,
            practice=True,
        )

    def _feature(self, allocation: Allocation) -> npt.NDArray[np.float64]:
        """Return `[2 * decisions + 1]`: log rises, widths, and 1 for the offset."""
        if (known := self._feature_of.get(allocation)) is not None:
            return known
        bits = self._space.bits_of(allocation)
        rises = [
            math.log1p(max(0.0, decision_rise(self._sensitivities, decision, width)))
            for decision, width in zip(self._space.decisions, bits, strict=True)
        ]
        widths = [2.0 ** (MIN_BITS - width) for width in bits]
        feature = np.array([*rises, *widths, 1.0])
        self._feature_of[allocation] = feature
        return feature

    def _fit(self) -> None:
        """Set the posterior mean: ridge regression around the prior, rows weighed by noise."""
        noise = np.array(self._noise)[:, None]
        features = np.stack(self._features) / noise
        surprise = np.array(self._losses) / noise[:, 0] - features @ self._prior_mean
        precision = features.T @ features + np.diag(self._prior_spread**-2.0)
        correction = np.linalg.solve(precision, features.T @ surprise)
        # A lower width never helps: negative responses are noise that PPO would exploit.
        fitted = self._prior_mean + correction
        fitted[:-1] = np.maximum(fitted[:-1], 0.0)
        self._weights = fitted


class PracticeEpisode:
    """An episode in which looks are a model's, too."""

    def __init__(self, practice: PracticeEvaluator) -> None:
        """Keep the model."""
        self._practice = practice

    def look(self, bits: Sequence[int]) -> SeenLook:
        """Return what the model expects."""
        return self._practice.expected_look(bits)

    def finish(self, allocation: Allocation) -> Evaluation:
        """Return what the model predicts of the whole."""
        return self._practice.evaluate([allocation])[0]

    def abandon(self) -> None:
        """Do nothing."""
