"""Selection: which of the evaluated allocations is reported as the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from env.decisions.budget import MEASURED_TOLERANCE, Budget
from env.errors import BudgetError
from env.evaluating.evaluation import Evaluation
from hardware.measuring.measurement import Measurement
from quant.allocation import Allocation


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """An allocation timed again, and the budget as what was timed beside it makes it."""

    measurement: Measurement
    budget: Budget


Measure = Callable[[Allocation], Beside]
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
    budget: Budget
    """That decided with it."""
    missed: tuple[Missed, ...] = ()


def choose(candidates: Sequence[Evaluation], budget: Budget, measure: Measure) -> Choice:
    """Return the first candidate that is inside the budget as measured again.

    What an earlier minute found far outside is measured again only where nothing else is inside:
    that minute may have been a slow one.

    Args:
        candidates: Best first.
        budget: As it was decided; what is measured may exceed its limits, or those that `measure`
            returns, by `MEASURED_TOLERANCE`.
        measure: Times a candidate again.

    Raises:
        BudgetError: no candidate is inside the budget; names the closest.
    """
    missed: list[Missed] = []
    small = [
        candidate
        for candidate in candidates
        if budget.allows(latency_ms=0.0, energy_mj=0.0, model_bytes=candidate.model_bytes)
    ]
    near = [candidate for candidate in small if not _outside(candidate, budget, _FAR)]
    far = [candidate for candidate in small if candidate not in near]
    again = [candidate for candidate in far if not _outside(candidate, budget, _HOPELESS)]
    for candidate in [*near, *again]:
        found = measure(candidate.allocation)
        timed = replace(candidate, measurement=found.measurement)
        if found.budget.admits(timed, tolerance=MEASURED_TOLERANCE):
            passed_over = [*(_missed(other) for other in far if candidate in near), *missed]
            return Choice(
                evaluation=candidate,
                measurement=found.measurement,
                budget=found.budget,
                missed=tuple(passed_over),
            )
        missed.append(Missed.by(candidate.allocation, found.measurement))
    missed += [_missed(candidate) for candidate in far if candidate not in again]
    closest = min(missed, key=lambda item: _excess(item, budget), default=None)
    found_most = "nothing was evaluated" if closest is None else f"the closest took {closest}"
    raise BudgetError(
        f"no evaluated allocation is inside the budget ({budget}); {found_most}",
        "raise the budget, or allow more evaluations with --evaluations",
    )


def reconsider(
    choice: Choice,
    candidates: Sequence[Evaluation],
    timed: Mapping[Allocation, Measurement],
    rank: Callable[[Sequence[Evaluation]], Sequence[Evaluation]],
) -> Choice:
    """Take the best of those that the last side-by-side timing found inside the budget.

    Timings near the budget's edge can turn out on either side of it, and equal accuracies are
    told apart by time. What the final table shows must not outrank what it calls the best.

    Args:
        choice: The result of `choose`.
        candidates: What was evaluated.
        timed: The last side-by-side measurements, of the chosen allocation among others.
        rank: Orders evaluations, best first.
    """
    again = (
        replace(candidate, measurement=timed[candidate.allocation])
        for candidate in candidates
        if candidate.allocation in timed
    )
    inside = [item for item in again if choice.budget.admits(item, tolerance=MEASURED_TOLERANCE)]
    if not inside:
        return choice
    best = rank(inside)[0].allocation
    evaluation = next(item for item in candidates if item.allocation == best)
    return replace(choice, evaluation=evaluation, measurement=timed[best])


_FAR = 0.10
"""Timings of one program repeat to a few percent, unless the machine changes its speed."""
_HOPELESS = 1.0
"""Shared machines take up to 1.9 times as long for minutes, and not more."""


def _outside(candidate: Evaluation, budget: Budget, excess: float) -> bool:
    """Whether a machine that was quiet measured the candidate so far outside the budget."""
    measurement = candidate.measurement
    return (
        measurement is not None
        and measurement.verdict.stable
        and not budget.admits(candidate, tolerance=excess)
    )


def _missed(candidate: Evaluation) -> Missed:
    assert candidate.measurement is not None  # else nothing says that it is outside
    return Missed.by(candidate.allocation, candidate.measurement)


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
