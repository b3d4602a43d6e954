"""A ruler for the machine's own speed: one fixed computation, timed beside every program.

Two processors of a shared machine are often two threads of one core: whatever runs on the other
one slows a program by half (measured: 1.6 times for kernels, 2.2 for this ruler) for seconds on
end, and the repeats of one timing agree with each other all the same. Only a second thing that is
timed at the same moment shows it.
"""

import time
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from hardware.facts import RulerFacts

SLOWDOWN_LIMIT = 1.15
"""Slowdown from which a machine counts as disturbed: above the ruler's own spread, and far below
what a busy second thread of the same core costs."""

_SIDE = 64  # three matrices of 16 KiB: inside the caches that a core has for itself
_LOOPS = 50
_REPEATS = 5
_PAUSE_S = 0.02

_MATRIX = np.random.default_rng(0).standard_normal((_SIDE, _SIDE)).astype(np.float32)
_RESULT = np.empty_like(_MATRIX)


@dataclass(frozen=True, kw_only=True, slots=True)
class RulerReading:
    """The ruler around one timing."""

    before_us: float
    after_us: float
    best_us: float
    """The shortest ever seen by this device."""
    waited_s: float
    """Seconds spent waiting for the machine to be as fast as it was."""

    cpu_share: float
    """CPU time of the timing divided by its wall-clock time; below 1 where it had to queue."""

    @property
    def slowdown(self) -> float:
        """How many times slower than its best the machine was, as far as can be told.

        The worst of three: the ruler before, the ruler after, and the queueing meanwhile.
        """
        ruler = slowdown_around(self.before_us, self.after_us, self.best_us)
        return max(ruler, 1.0 / self.cpu_share)

    @property
    def disturbed(self) -> bool:
        """Whether the machine was too slow for the timing to be believed."""
        return self.slowdown >= SLOWDOWN_LIMIT

    def facts(self) -> RulerFacts:
        """Return what a measurement tells of it."""
        return cast(RulerFacts, {**asdict(self), "slowdown": self.slowdown})


def slowdown_around(before_us: float, after_us: float, best_us: float) -> float:
    """Return how many times slower than its best the machine was around one timing."""
    return max(before_us, after_us) / best_us


def read_ruler_us() -> float:
    """Return the median microseconds of one matrix product; takes about 3 ms."""
    values = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        for _ in range(_LOOPS):
            np.matmul(_MATRIX, _MATRIX, out=_RESULT)
        values.append((time.perf_counter() - started) / _LOOPS)
    return float(np.median(values)) * 1e6


def settle(best_us: float, patience_s: float) -> tuple[float, float]:
    """Wait until the machine is about as fast as it ever was, or until patience ends.

    Args:
        best_us: The shortest ruler seen so far.
        patience_s: Longest wait.

    Returns:
        The last ruler in microseconds, and the seconds waited.
    """
    started = time.perf_counter()
    while True:
        ruler_us = read_ruler_us()
        waited_s = time.perf_counter() - started
        if ruler_us < SLOWDOWN_LIMIT * best_us or waited_s >= patience_s:
            return ruler_us, waited_s
        time.sleep(_PAUSE_S)
