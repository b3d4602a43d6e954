"""Samples of power over time, and the energy between two moments."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from hardware.energy.errors import MeterError
from hardware.energy.meter import Span

PowerSample = tuple[float, float]
"""(seconds on some clock, watts)."""


def span_between(samples: Sequence[PowerSample], begin_s: float, end_s: float) -> Span:
    """Integrate power by the trapezoidal rule, with straight lines up to both ends.

    Args:
        samples: In order of time, at least one before or at each end.
        begin_s: On the samples' clock.
        end_s: Later than `begin_s`.

    Raises:
        MeterError: the samples do not cover the time.
    """
    if not samples or samples[0][0] > begin_s or samples[-1][0] < end_s:
        covered = f"{samples[0][0]:.2f} to {samples[-1][0]:.2f}" if samples else "nothing"
        raise MeterError(
            f"expected readings of power from {begin_s:.2f} s to {end_s:.2f} s, found {covered}"
        )
    times = [time_s for time_s, _ in samples]
    first, last = bisect_right(times, begin_s), bisect_left(times, end_s)
    points = [
        (begin_s, _watts_at(samples, first, begin_s)),
        *samples[first:last],
        (end_s, _watts_at(samples, last, end_s)),
    ]
    joules = sum(
        (later_s - time_s) * (watts + later_watts) / 2.0
        for (time_s, watts), (later_s, later_watts) in pairwise(points)
    )
    took_s = end_s - begin_s
    return Span(joules=joules, seconds=took_s, work_s=took_s, samples=max(0, last - first))


def _watts_at(samples: Sequence[PowerSample], after: int, moment_s: float) -> float:
    """Return the power at a moment between samples `after - 1` and `after`."""
    if after == 0:
        return samples[0][1]
    if after == len(samples):
        return samples[-1][1]
    (before_s, before_watts), (after_s, after_watts) = samples[after - 1], samples[after]
    if after_s <= before_s:
        return after_watts
    share = (moment_s - before_s) / (after_s - before_s)
    return before_watts + share * (after_watts - before_watts)
