"""CounterRecording: meters that add energy up by themselves, read before and after the work."""

import time
from collections.abc import Callable, Mapping, Sequence

from hardware.energy.errors import MeterError
from hardware.energy.meter import Recording, Span


def joules_between(
    before_j: Mapping[str, float], after_j: Mapping[str, float], ranges_j: Mapping[str, float]
) -> float:
    """Return the sum of what several counters advanced by, each allowed to wrap around once.

    Args:
        before_j: Joules of each counter at first.
        after_j: The same later.
        ranges_j: The value at which a counter starts again from 0; counters without one never do.

    Raises:
        MeterError: a counter without a range went backwards.
    """
    total = 0.0
    for name, before in before_j.items():
        advance = after_j[name] - before
        if advance < 0:
            if name not in ranges_j:
                raise MeterError(
                    f"expected an energy counter that grows, found {before:g} J and then "
                    f"{after_j[name]:g} J from {name}"
                )
            advance += ranges_j[name]
        total += advance
    return total


class CounterRecording(Recording):
    """Reads counters around each piece of work."""

    def __init__(
        self, read_j: Callable[[], Mapping[str, float]], ranges_j: Mapping[str, float] | None = None
    ) -> None:
        """Keep how to read.

        Args:
            read_j: Returns the joules of each counter by name; raises MeterError.
            ranges_j: See `joules_between`.
        """
        self._read_j = read_j
        self._ranges_j = ranges_j or {}
        self._spans: list[Span] = []

    def span(self, work: Callable[[], object]) -> None:
        """Do a piece of work between two readings."""
        before_j, before_s = self._reading()
        begin_s = time.perf_counter()
        work()
        work_s = time.perf_counter() - begin_s
        after_j, after_s = self._reading()
        joules = joules_between(before_j, after_j, self._ranges_j)
        self._spans.append(Span(joules=joules, seconds=after_s - before_s, work_s=work_s))

    def spans(self) -> Sequence[Span]:
        """Return what each piece of work took."""
        return tuple(self._spans)

    def _reading(self) -> tuple[Mapping[str, float], float]:
        """Return joules and about when they were read: a command takes milliseconds."""
        begin_s = time.perf_counter()
        read_j = self._read_j()
        return read_j, (begin_s + time.perf_counter()) / 2.0
