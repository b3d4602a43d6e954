"""Attempt: one timing with the ruler around it; a second one where the first was disturbed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hardware.facts import MeasurementFacts, MomentFacts
from hardware.measuring.ruler import RulerReading
from hardware.measuring.timing import Timing

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt(Generic[T]):
    """One timing, and what was seen around it."""

    value: T
    reading: RulerReading
    disturbed: bool
    """Whether another attempt is worth its time."""
    before: MomentFacts
    """The machine's moment before the timing."""
    after: MomentFacts
    """And after it."""
    more: MeasurementFacts = field(default_factory=MeasurementFacts)
    """What else belongs to the facts of a measurement."""

    def facts(self) -> MeasurementFacts:
        """Return what a measurement tells of its attempt."""
        return {
            "before": self.before,
            "after": self.after,
            "ruler": self.reading.facts(),
            **self.more,
        }


def time_again_if_disturbed(
    take: Callable[[], Attempt[Timing]],
) -> tuple[Attempt[Timing], list[list[float]]]:
    """Time, and time once more where the machine was disturbed.

    Args:
        take: Makes one attempt.

    Returns:
        The attempt that counts, and the milliseconds of those that do not.
    """
    kept = take()
    discarded = [list(kept.value.discarded_ms)] if kept.value.discarded_ms else []
    if kept.disturbed:
        other = take()
        # The ruler decides which attempt counts, never the candidate's own time.
        if other.reading.slowdown < kept.reading.slowdown:
            kept, other = other, kept
        discarded.append(list(other.value.values_ms))
    return kept, discarded
