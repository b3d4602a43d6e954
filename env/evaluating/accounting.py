"""Accounting: what a search used, in the same four numbers for every method.

What every run measures before any search (float network, layer table, uniform allocations) is not
in them: it is the same for all methods. Neither are the measured sensitivities that environments
show: they are the network's, and the store keeps them for every later run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from env.evaluating.evaluation import Evaluation

TABLE_ROW = "table"
"""Proposer of evaluations that only fill rows of a report; no method pays for them."""


def counts(evaluation: Evaluation) -> bool:
    """Whether an evaluation counts against the limit, and is the search's to pay for."""
    return evaluation.proposer != TABLE_ROW


@dataclass(frozen=True, kw_only=True, slots=True)
class Accounting:
    """What one search used.

    Samples and device seconds are charged in full where a result was looked up, so that methods
    compare whichever of them came first; wall seconds are what passed.
    """

    evaluations: int
    """Evaluations that count against the limit, the all-8-bit reference among them."""
    training_samples: int
    """Training images seen by retraining, by a method's own training and by its sensitivities;
    an image seen twice counts twice."""
    device_s: float
    """Seconds that programs ran on the device while they were timed, warm-up left out."""
    wall_s: float
    """Seconds of the search from its first evaluation to its answer, without those that measuring
    or reading what environments show took. After a resume, those of the last part and of the
    evaluations before it."""
    looked_up: int
    """Evaluations whose measurement was looked up: their time is missing from `wall_s`, as is that
    of retraining and of sensitivities that were looked up, which nothing here counts."""


class Ledger:
    """What a method uses beside its evaluations; the method enters it as it goes."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self.training_samples = 0
        self.device_s = 0.0

    def add(self, *, training_samples: int = 0, device_s: float = 0.0) -> None:
        """Enter images that went through the network, or seconds on the device."""
        self.training_samples += training_samples
        self.device_s += device_s


def spent_s(evaluations: Iterable[Evaluation]) -> float:
    """Return the seconds of retraining, building and measuring in evaluations."""
    return sum(e.train_s + e.build_s + e.measure_s for e in evaluations)


def account(evaluations: Iterable[Evaluation], ledger: Ledger, wall_s: float) -> Accounting:
    """Sum up a search.

    Args:
        evaluations: Everything that was evaluated; rows of reports are left out here.
        ledger: What the method used beside them.
        wall_s: Seconds that the search took.
    """
    charged = [evaluation for evaluation in evaluations if counts(evaluation)]
    return Accounting(
        evaluations=len(charged),
        training_samples=ledger.training_samples + sum(e.training_samples for e in charged),
        device_s=ledger.device_s + sum(e.device_s for e in charged),
        wall_s=wall_s,
        looked_up=sum(e.cached for e in charged),
    )
