"""Timing one program: warm-ups thrown away, loops calibrated, every kept value returned.

Source: pyperf, `_worker.py` (calibration of loops, warm-up values) and `format_checks` (verdict).
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from hardware.measuring.measurement import judge
from hardware.measuring.protocol import ProtocolConfig

TimeRepeats = Callable[[int, int], list[float]]
"""`(loops, repeats)` to milliseconds of one execution in each repeat."""

_CALIBRATION_STEPS = 12
"""Bound on the doublings; 2**12 empty programs already fill the shortest useful repeat."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What one timing gave."""

    values_ms: tuple[float, ...]
    loops: int
    discarded_ms: tuple[float, ...] = ()
    """Values of a first, unstable attempt that was repeated with twice the repeats."""

    @property
    def median_ms(self) -> float:
        """Median of the values."""
        return statistics.median(self.values_ms)


def time_program(run: TimeRepeats, protocol: ProtocolConfig) -> Timing:
    """Time a program after the protocol.

    An unstable measurement is repeated once, at once, with twice the repeats; the first attempt's
    values come back in `discarded_ms`, so that nothing is dropped unseen.
    """
    loops = _calibrate(run, protocol.min_repeat_ms)
    values = _attempt(run, loops, protocol.warmups, protocol.repeats)
    if judge(values).stable:
        return Timing(values_ms=values, loops=loops)
    second = _attempt(run, loops, protocol.warmups, 2 * protocol.repeats)
    return Timing(values_ms=second, loops=loops, discarded_ms=values)


def _attempt(run: TimeRepeats, loops: int, warmups: int, repeats: int) -> tuple[float, ...]:
    return tuple(run(loops, warmups + repeats)[warmups:])


def _calibrate(run: TimeRepeats, min_repeat_ms: float) -> int:
    """Return the number of executions that take at least `min_repeat_ms`."""
    loops = 1
    for _ in range(_CALIBRATION_STEPS):
        took_ms = run(loops, 1)[0] * loops
        if took_ms >= min_repeat_ms:
            break
        # At least doubling ends the loop; the estimate makes it end soon.
        loops = max(2 * loops, math.ceil(loops * min_repeat_ms / max(took_ms, 1e-6) * 1.05))
    return loops
