"""SearchEvaluator: what a method may ask of whatever evaluates its allocations."""

from collections.abc import Callable, Sequence
from typing import Protocol

from env.evaluating.episode import Episode
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.objective.paired import PairedDifference
from quant.objective.scores import ImageScores

OnEvaluation = Callable[[Evaluation], None]


class SearchEvaluator(Protocol):
    """Evaluates allocations, counts them, and refuses more than its limit.

    The `Evaluator` retrains and measures; a table of truth looks up what was retrained before.
    """

    proposer: str
    """Who asks for the next evaluations; written into each of them."""
    evaluations: list[Evaluation]
    """All so far, in order."""
    held_back: int
    """Evaluations of the limit that are kept for later: `remaining` is less by so many."""
    on_evaluation: list[OnEvaluation]
    """Called with each finished evaluation, in order."""

    @property
    def remaining(self) -> int:
        """How many evaluations the limit still allows."""

    @property
    def repeatable(self) -> bool:
        """Whether an allocation can be evaluated again with nothing changed but the seed."""

    @property
    def parallel(self) -> int:
        """How many allocations are worth asking for at once."""

    def evaluate(self, allocations: Sequence[Allocation], *, repeat: int = 0) -> list[Evaluation]:
        """Evaluate allocations in order.

        Args:
            allocations: What to evaluate.
            repeat: 0, or from 1 on: with another order of the training images. Only where
                `repeatable`.

        Raises:
            EvaluationLimitError: the limit is used up; finished ones are in `evaluations`.
        """

    def begin_episode(self) -> Episode | None:
        """Return an episode that is retrained while it is decided; None where none is."""

    def adopt_past(self) -> None:
        """Count the past evaluations of a resumed run that nobody asked for again as made."""

    def beside_reference(self, scores: ImageScores) -> PairedDifference | None:
        """Compare a network with the all-8-bit reference; None where its scores are not known."""
