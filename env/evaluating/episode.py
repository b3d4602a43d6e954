"""Episodes that are watched: what evaluators offer that look after each decision."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from env.evaluating.evaluation import Evaluation
from env.evaluating.seen_look import SeenLook
from quant.allocation import Allocation


class Episode(Protocol):
    """One episode, from its first decision to its evaluation."""

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        """Return what the latest of the decisions so far did; None where nothing can be seen."""

    def finish(self, allocation: Allocation) -> Evaluation:
        """Return the evaluation of what was decided."""

    def abandon(self) -> None:
        """Say that it will not be finished."""


@runtime_checkable
class Watched(Protocol):
    """An evaluator whose episodes can be watched."""

    def begin_episode(self) -> Episode | None:
        """Return an episode; None where retraining comes after the last decision."""


class Looks(Protocol):
    """An evaluator that retrains during an episode."""

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        """Return what the latest of some decisions did."""

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Evaluate allocations."""


class RealEpisode:
    """An episode whose network is retrained while it is decided."""

    def __init__(self, evaluator: Looks) -> None:
        """Keep who retrains."""
        self._evaluator = evaluator

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        """Train the latest decision's share of the steps, and return what is seen."""
        return self._evaluator.look(bits)

    def finish(self, allocation: Allocation) -> Evaluation:
        """Return the evaluation, which counts against the limit."""
        return self._evaluator.evaluate([allocation])[0]

    def abandon(self) -> None:
        """Do nothing: what was trained is known if another episode begins alike."""
