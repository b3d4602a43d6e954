"""SearchEvaluator: what a method may ask of whatever evaluates its allocations."""

from collections.abc import Callable, Sequence
from typing import Protocol

from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.objective.scores import ImageScores
from quant.retraining.paired import PairedDifference

OnEvaluation = Callable[[Evaluation], None]


class SearchEvaluator(Protocol):
    """Evaluates allocations, counts them, and refuses more than its limit.

    The `Evaluator` retrains and measures; a table of truth looks up what was retrained before.
    """

    proposer: str
    """Who asks for the next evaluations; written into each of them."""
    evaluations: list[Evaluation]
    """All so far, in order."""
    on_evaluation: list[OnEvaluation]
    """Called with each finished evaluation, in order."""

    @property
    def remaining(self) -> int:
        """How many evaluations the limit still allows."""

    @property
    def parallel(self) -> int:
        """How many allocations are worth asking for at once."""

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Evaluate allocations in order.

        Raises:
            EvaluationLimitError: the limit is used up; finished ones are in `evaluations`.
        """

    def adopt_past(self) -> None:
        """Count the past evaluations of a resumed run that nobody asked for again as made."""

    def beside_reference(self, scores: ImageScores) -> PairedDifference | None:
        """Compare a network with the all-8-bit reference; None where its scores are not known."""
