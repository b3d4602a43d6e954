"""Selection: which of the evaluated allocations is reported as the best."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from env.budget import MEASURED_TOLERANCE, Budget
from env.errors import BudgetError
from env.evaluation import Evaluation
from env.reward import RewardConfig, reward
from hardware.measurement import Measurement
from quant.allocation import Allocation

__all__ = ["Choice", "Missed", "choose", "ranked", "reconsider"]

Measure = Callable[[Allocation], Measurement]
"""Times an allocation again, now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """A candidate that ranked higher and was measured outside the budget."""

    allocation: Allocation
    latency_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The best allocation, with the measurement that decided."""

    evaluation: Evaluation
    measurement: Measurement
    missed: tuple[Missed, ...] = ()


def ranked(
    evaluations: Iterable[Evaluation], reference: Evaluation, config: RewardConfig
) -> list[Evaluation]:
    """Order real, successful evaluations by their reward, then the faster first.

    Without a weight on latency the reward orders by accuracy, so that an allocation is never
    placed behind a less accurate one. Of an allocation evaluated twice the latest counts: with
    shared weights it is the state that exists.
    """
    latest: dict[Allocation, Evaluation] = {}
    for evaluation in evaluations:
        if not evaluation.practice and not evaluation.error:
            latest[evaluation.allocation] = evaluation

    def key(evaluation: Evaluation) -> tuple[float, float, int]:
        total, _ = reward(evaluation, reference, config)
        latency_ms = evaluation.latency_ms
        assert latency_ms is not None
        return -total, latency_ms, evaluation.model_bytes

    return sorted(latest.values(), key=key)


def choose(candidates: Sequence[Evaluation], budget: Budget, measure: Measure) -> Choice:
    """Return the first candidate that is inside the budget as measured again.

    Args:
        candidates: Best first.
        budget: The budget; a measured latency may exceed it by `MEASURED_TOLERANCE`.
        measure: Times a candidate again.

    Raises:
        BudgetError: no candidate is inside the budget; names the closest.
    """
    missed: list[Missed] = []
    for candidate in candidates:
        if not budget.allows(latency_ms=0.0, model_bytes=candidate.model_bytes):
            continue
        if _hopeless(candidate, budget):
            assert candidate.latency_ms is not None
            missed.append(Missed(allocation=candidate.allocation, latency_ms=candidate.latency_ms))
            continue
        measurement = measure(candidate.allocation)
        if budget.allows(
            latency_ms=measurement.median_ms,
            model_bytes=candidate.model_bytes,
            tolerance=MEASURED_TOLERANCE,
        ):
            return Choice(evaluation=candidate, measurement=measurement, missed=tuple(missed))
        missed.append(Missed(allocation=candidate.allocation, latency_ms=measurement.median_ms))
    closest = min((item.latency_ms for item in missed), default=None)
    found = "nothing was evaluated" if closest is None else f"the closest took {closest:.4g} ms"
    raise BudgetError(
        f"no evaluated allocation is inside the budget ({budget}); {found}",
        "raise the budget, or allow more evaluations with --evaluations",
    )


def reconsider(
    choice: Choice,
    candidates: Sequence[Evaluation],
    budget: Budget,
    timed: Mapping[Allocation, Measurement],
    rank: Callable[[Sequence[Evaluation]], Sequence[Evaluation]],
) -> Choice:
    """Take the best of those that the last side-by-side timing found inside the budget.

    Timings near the budget's edge can turn out on either side of it, and equal accuracies are
    told apart by time. What the final table shows must not outrank what it calls the best.

    Args:
        choice: The result of `choose`.
        candidates: What was evaluated.
        budget: The budget.
        timed: The last side-by-side measurements, of the chosen allocation among others.
        rank: Orders evaluations, best first.
    """
    inside = [
        replace(candidate, measurement=timed[candidate.allocation])
        for candidate in candidates
        if candidate.allocation in timed
        and budget.allows(
            latency_ms=timed[candidate.allocation].median_ms,
            model_bytes=candidate.model_bytes,
            tolerance=MEASURED_TOLERANCE,
        )
    ]
    if not inside:
        return choice
    best = rank(inside)[0].allocation
    evaluation = next(item for item in candidates if item.allocation == best)
    return replace(choice, evaluation=evaluation, measurement=timed[best])


_HOPELESS_EXCESS = 0.10
"""Timings of one program repeat to a few percent; this far outside none needs another one."""


def _hopeless(candidate: Evaluation, budget: Budget) -> bool:
    """Whether a quiet machine measured the candidate far outside the budget already."""
    measurement = candidate.measurement
    return (
        measurement is not None
        and measurement.verdict.stable
        and not budget.allows(
            latency_ms=measurement.median_ms,
            model_bytes=candidate.model_bytes,
            tolerance=_HOPELESS_EXCESS,
        )
    )
