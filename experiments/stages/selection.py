"""Selection: which of the evaluated allocations is reported as the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation

Measure = Callable[[Allocation], Measurement]
"""Times an allocation again, now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """A candidate that ranked higher and was measured outside the budget."""

    allocation: Allocation
    latency_ms: float
    energy_mj: float | None = None

    @classmethod
    def by(cls, allocation: Allocation, measurement: Measurement) -> "Missed":
        """Return what a measurement says of an allocation."""
        return cls(
            allocation=allocation,
            latency_ms=measurement.median_ms,
            energy_mj=measurement.energy_mj,
        )

    def __str__(self) -> str:
        """Return what it took."""
        energy = "" if self.energy_mj is None else f", {self.energy_mj:.4g} mJ"
        return f"{self.latency_ms:.4g} ms{energy}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The best allocation, with the measurement that decided."""

    evaluation: Evaluation
    measurement: Measurement
    missed: tuple[Missed, ...] = ()


def choose(candidates: Sequence[Evaluation], budget: Budget, measure: Measure) -> Choice:
    """Return the first candidate that is inside the budget as measured again.

    Args:
        candidates: Best first.
        budget: The budget; what is measured may exceed it by `MEASURED_TOLERANCE`.
        measure: Times a candidate again.

    Raises:
        BudgetError: no candidate is inside the budget; names the closest.
    """
    missed: list[Missed] = []
    for candidate in candidates:
        if not budget.allows(latency_ms=0.0, energy_mj=0.0, model_bytes=candidate.model_bytes):
            continue
        if candidate.measurement is not None and _hopeless(candidate, budget):
            missed.append(Missed.by(candidate.allocation, candidate.measurement))
            continue
        measurement = measure(candidate.allocation)
        again = replace(candidate, measurement=measurement)
        if budget.admits(again, tolerance=MEASURED_TOLERANCE):
            return Choice(evaluation=candidate, measurement=measurement, missed=tuple(missed))
        missed.append(Missed.by(candidate.allocation, measurement))
    closest = min(missed, key=lambda item: _excess(item, budget), default=None)
    found = "nothing was evaluated" if closest is None else f"the closest took {closest}"
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
    again = (
        replace(candidate, measurement=timed[candidate.allocation])
        for candidate in candidates
        if candidate.allocation in timed
    )
    inside = [item for item in again if budget.admits(item, tolerance=MEASURED_TOLERANCE)]
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
        and not budget.admits(candidate, tolerance=_HOPELESS_EXCESS)
    )


def _excess(item: Missed, budget: Budget) -> float:
    """Return by which factor a candidate exceeds the limit it is furthest beyond."""
    factors = [
        found / limit
        for found, limit in (
            (item.latency_ms, budget.latency_ms),
            (item.energy_mj, budget.energy_mj),
        )
        if found is not None and limit is not None
    ]
    return max(factors, default=0.0)
