"""ObservedLosses: what evaluations say of the quality lost against the all-8-bit reference."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from env.decisions.decisions import DecisionSpace
from env.evaluating.evaluation import Evaluation
from env.responses.columns import Floats
from quant.allocation import Allocation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ObservedLosses:
    """Losses of N evaluations, one each; an allocation that was repeated has several."""

    allocations: tuple[Allocation, ...]
    losses: Floats
    """`[N]`: the reference's quality less the evaluation's."""
    errors: Floats
    """`[N]`: standard errors of the differences over the images, paired where it is known."""

    def __len__(self) -> int:
        """Return the number of evaluations."""
        return len(self.allocations)

    def without(self, index: int) -> "ObservedLosses":
        """Return all but one."""
        keep = [other for other in range(len(self)) if other != index]
        return ObservedLosses(
            allocations=tuple(self.allocations[other] for other in keep),
            losses=self.losses[keep],
            errors=self.errors[keep],
        )


def observed_losses(
    evaluations: Iterable[Evaluation], reference: Evaluation, space: DecisionSpace
) -> ObservedLosses:
    """Return the losses of real evaluations of the space that did not fail in training.

    The reference itself is left out: by definition it loses nothing.
    """
    used = [
        evaluation
        for evaluation in evaluations
        if not evaluation.practice
        and np.isfinite(evaluation.loss)
        and evaluation is not reference
        and evaluation.index != reference.index
        and space.admits(evaluation.allocation)
    ]
    pairs = [_lost(evaluation, reference) for evaluation in used]
    return ObservedLosses(
        allocations=tuple(evaluation.allocation for evaluation in used),
        losses=np.array([loss for loss, _ in pairs], dtype=np.float64),
        errors=np.array([error for _, error in pairs], dtype=np.float64),
    )


def _lost(evaluation: Evaluation, reference: Evaluation) -> tuple[float, float]:
    """Return the quality lost and its standard error: of one network scored on the same images."""
    lost = reference.quality - evaluation.quality
    beside, metric = evaluation.beside_reference, evaluation.metric
    if beside is None or beside.score_se is None:
        return lost, metric.quality_se(evaluation.score, evaluation.score_se)
    if metric.more_is_better:
        return -beside.score, beside.score_se
    return lost, metric.quality_se(evaluation.score, beside.score_se)
