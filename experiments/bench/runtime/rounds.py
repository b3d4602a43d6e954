"""Rounds: every contender is timed once a round, so that a slow minute hits all of them alike."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.bench.peers.contender import Contender
from hardware.measuring.lock import timing_lock
from hardware.measuring.ruler import RulerReading, read_ruler_us, settle
from quant.records.progress import Progress

MIN_REPEAT_MS = 5.0
"""A repeat is the mean of as many executions as take at least this long."""
SLOW_MS = 250.0
"""A contender slower than this gets `SLOW_REPEATS` repeats: it decides nothing."""
SLOW_REPEATS = 3
_WARMUP_MS = 50.0
_PATIENCE_S = 0.1
"""Longest wait for a disturbed machine before a repeat."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """One contender's timings, in milliseconds of one execution."""

    calm_ms: tuple[float, ...]
    """With the machine about as fast as at its best before and after."""
    disturbed_ms: tuple[float, ...]
    wanted: int
    """How many calm ones were asked for."""

    @property
    def values_ms(self) -> tuple[float, ...]:
        """What counts: the calm ones, or all where fewer than half of those wanted were calm.

        The ruler decides what counts, never a contender's own time.
        """
        if self.unstable:
            return self.calm_ms + self.disturbed_ms
        return self.calm_ms

    @property
    def unstable(self) -> bool:
        """Whether the machine was hardly ever left alone while this contender was timed."""
        return 2 * len(self.calm_ms) < self.wanted


def time_in_rounds(
    contenders: Sequence[Contender],
    rounds: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Repeats]:
    """Time contenders in interleaved rounds, each round in another order.

    Each repeat starts with one execution that is not timed: it brings the contender's own code and
    weights back into the caches that the one before it has filled. Contenders that a busy machine
    left with too few calm repeats get up to as many rounds again.

    Args:
        contenders: Loaded and ready.
        rounds: Repeats of each contender.
        seed: Decides the orders.
        progress: Called with (rounds done, rounds in all).
    """
    orders, best_us = random.Random(seed), math.inf
    with timing_lock():
        lanes = [_Lane.calibrate(contender.execute, rounds) for contender in contenders]
    for done in range(2 * rounds):
        waiting = [lane for lane in lanes if len(lane.calm_ms) < lane.wanted]
        if not waiting:
            break
        for lane in orders.sample(waiting, len(waiting)):
            with timing_lock():  # given back at once: others of this machine wait no longer
                best_us = lane.repeat(best_us)
        if progress is not None:
            progress(done + 1, max(rounds, done + 1))
    return [
        Repeats(
            calm_ms=tuple(lane.calm_ms), disturbed_ms=tuple(lane.disturbed_ms), wanted=lane.wanted
        )
        for lane in lanes
    ]


@dataclass(kw_only=True, slots=True)
class _Lane:
    """One contender's part of the rounds."""

    execute: Callable[[], object]
    loops: int
    """Executions in one repeat."""
    wanted: int
    """Calm repeats to take."""
    calm_ms: list[float] = field(default_factory=list)
    disturbed_ms: list[float] = field(default_factory=list)

    @classmethod
    def calibrate(cls, execute: Callable[[], object], rounds: int) -> "_Lane":
        took_ms = _time_ms(execute, 1)
        if took_ms >= SLOW_MS:
            return cls(execute=execute, loops=1, wanted=min(SLOW_REPEATS, rounds))
        # The first executions of an engine also allocate and plan: they say little about the rest.
        _time_ms(execute, max(1, math.ceil(_WARMUP_MS / took_ms)))
        loops = max(1, math.ceil(MIN_REPEAT_MS / _time_ms(execute, 1)))
        loops = max(1, math.ceil(MIN_REPEAT_MS / _time_ms(execute, loops)))
        return cls(execute=execute, loops=loops, wanted=rounds)

    def repeat(self, best_us: float) -> float:
        """Take one repeat; return the shortest ruler seen so far."""
        before_us, waited_s = settle(best_us, _PATIENCE_S)
        self.execute()
        started, started_cpu = time.perf_counter(), time.process_time()
        value_ms = _time_ms(self.execute, self.loops)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
        after_us = read_ruler_us()
        reading = RulerReading(
            before_us=before_us,
            after_us=after_us,
            best_us=min(best_us, before_us, after_us),
            waited_s=waited_s,
            cpu_share=min(1.0, cpu_s / wall_s),
        )
        (self.disturbed_ms if reading.disturbed else self.calm_ms).append(value_ms)
        return reading.best_us


def _time_ms(execute: Callable[[], object], loops: int) -> float:
    """Return the mean milliseconds of one execution."""
    started = time.perf_counter()
    for _ in range(loops):
        execute()
    return 1000.0 * (time.perf_counter() - started) / loops
