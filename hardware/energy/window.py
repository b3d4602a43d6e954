"""The energy window: a program run many times while a meter watches, after a look at idling.

Pure functions of callables: they work the same in the process that runs a program, in one that
tells another to run it, and on a board.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hardware.energy.energy import Energy
from hardware.energy.errors import MeterError
from hardware.energy.meter import Meter, Span

LEAST_SAMPLES = 30
"""Readings of power that a window should have."""
LEAST_IDLE_SAMPLES = 10
_ENOUGH = 0.7
"""Share of the wanted length with which a window counts: the time of one execution is a guess."""
ATTEMPTS = 3
"""Windows that may be tried until one is long enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowPlan:
    """How long a meter is read."""

    window_s: float = 3.0
    """Shortest window; a slow meter makes it longer, so that it has 30 readings."""
    idle_s: float = 1.0
    """Shortest look at the idle device before it."""
    blocks: int = 5
    """Parts of the window, from whose means the standard error comes."""


def measure_energy(
    meter: Meter,
    run: Callable[[int], object],
    *,
    one_s: float,
    plan: WindowPlan,
    sleep: Callable[[float], object] = time.sleep,
) -> Energy:
    """Measure the energy of one execution: idle power first, then a window of many executions.

    Gross is what the meter saw during the window over the number of executions; net is without
    idle power times the window's length. While a counter is read the device idles: that part of
    what it counted is taken off by idle power.

    Args:
        meter: What measures.
        run: Executes a program a number of times, one after the other, and returns at the end.
        one_s: About how long one execution takes.
        plan: Length of window and idling.
        sleep: Waits without working.

    Raises:
        MeterError: the meter failed, saw too little, or its value did not move.
    """
    window_s = max(plan.window_s, LEAST_SAMPLES * meter.interval_s)
    idle_s = max(plan.idle_s, LEAST_IDLE_SAMPLES * meter.interval_s)
    loops, took_s = max(1, math.ceil(window_s / plan.blocks / one_s)), window_s
    for _ in range(ATTEMPTS):
        if took_s < _ENOUGH * window_s:
            loops = math.ceil(loops * 1.1 * window_s / took_s)
        with meter.record() as recording:
            recording.span(partial(sleep, idle_s))
            for _ in range(plan.blocks):
                recording.span(partial(run, loops))
            idle, *blocks = recording.spans()
        took_s = sum(block.work_s for block in blocks)
        if took_s >= _ENOUGH * window_s:
            break
    samples = _samples(meter, blocks)
    read = [idle.joules, *(block.joules for block in blocks)]
    if not all(map(math.isfinite, read)):
        raise MeterError(
            f"expected joules from the {meter.source} meter ({meter.what}), found {read}",
            "look at what it prints, or at its wires",
        )
    if sum(block.joules for block in blocks) <= 0.0:
        raise MeterError(
            f"the {meter.source} meter ({meter.what}) did not move in {took_s:.1f} s of work",
            "is it connected to what runs the program? A slow one needs a longer energy.window_s",
        )
    idle_w = idle.joules / idle.seconds
    try:
        return Energy(
            source=meter.source,
            what=meter.what,
            blocks_mj=tuple(
                1000.0 * (block.joules - idle_w * (block.seconds - block.work_s)) / loops
                for block in blocks
            ),
            idle_w=idle_w,
            loops=plan.blocks * loops,
            window_s=took_s,
            samples=samples,
        )
    except ValueError as error:
        raise MeterError(f"the {meter.source} meter ({meter.what}): {error}") from None


def _samples(meter: Meter, blocks: Sequence[Span]) -> int | None:
    """Return the readings inside a window; refuse fewer than half of what was planned."""
    counts = [block.samples for block in blocks if block.samples is not None]
    if not counts:
        return None
    if sum(counts) < LEAST_SAMPLES // 2:
        raise MeterError(
            f"expected {LEAST_SAMPLES} readings of the {meter.source} meter ({meter.what}) in an "
            f"energy window, found {sum(counts)}",
            "raise energy.window_s, or energy.interval_s where the meter's command is slow",
        )
    return sum(counts)
