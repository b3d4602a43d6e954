"""Rounds: every contender is timed once a round, so that a slow minute hits all of them alike."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.peers.contender import Contender
from hardware.lock import timing_lock
from hardware.ruler import SLOWDOWN_LIMIT, settle

__all__ = ["MIN_REPEAT_MS", "SLOW_MS", "SLOW_REPEATS", "Rounds", "time_in_rounds"]

MIN_REPEAT_MS = 5.0
"""A repeat is the mean of as many executions as take at least this long."""
SLOW_MS = 250.0
"""A contender slower than this takes part in the first few rounds only: it decides nothing."""
SLOW_REPEATS = 3
_WARMUP_MS = 50.0
_PATIENCE_S = 0.5
"""Longest wait for a disturbed machine before a round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounds:
    """What the rounds gave."""

    values_ms: tuple[tuple[float, ...], ...]
    """Milliseconds of one execution in each repeat, for each contender, in order."""
    disturbed: int
    """Rounds before which the machine was slower than at its best; they are kept."""


def time_in_rounds(
    contenders: Sequence[Contender],
    rounds: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Rounds:
    """Time contenders in interleaved rounds, each round in another order.

    Each repeat starts with one execution that is not timed: it brings the contender's own code and
    weights back into the caches that the one before it has filled.

    Args:
        contenders: Loaded and ready.
        rounds: Repeats of each contender.
        seed: Decides the orders.
        progress: Called with (rounds done, rounds in all).
    """
    disturbed, best_us = 0, math.inf
    orders = random.Random(seed)
    with timing_lock():
        lanes = [_Lane.calibrated(contender.execute) for contender in contenders]
    for done in range(rounds):
        with timing_lock():  # given back after each round: others of this machine wait no longer
            ruler_us, _ = settle(best_us, _PATIENCE_S)
            disturbed += ruler_us >= SLOWDOWN_LIMIT * best_us
            best_us = min(best_us, ruler_us)
            for lane in orders.sample(lanes, len(lanes)):
                if done < lane.most_repeats:
                    lane.execute()
                    lane.values_ms.append(_time_ms(lane.execute, lane.loops))
        if progress is not None:
            progress(done + 1, rounds)
    return Rounds(values_ms=tuple(tuple(lane.values_ms) for lane in lanes), disturbed=disturbed)


@dataclass(kw_only=True, slots=True)
class _Lane:
    """One contender's part of the rounds."""

    execute: Callable[[], object]
    loops: int
    """Executions in one repeat."""
    most_repeats: float
    values_ms: list[float] = field(default_factory=list)

    @classmethod
    def calibrated(cls, execute: Callable[[], object]) -> "_Lane":
        took_ms = _time_ms(execute, 1)
        if took_ms >= SLOW_MS:
            return cls(execute=execute, loops=1, most_repeats=SLOW_REPEATS)
        # The first executions of an engine also allocate and plan: they say little about the rest.
        _time_ms(execute, max(1, math.ceil(_WARMUP_MS / took_ms)))
        loops = max(1, math.ceil(MIN_REPEAT_MS / _time_ms(execute, 1)))
        loops = max(1, math.ceil(MIN_REPEAT_MS / _time_ms(execute, loops)))
        return cls(execute=execute, loops=loops, most_repeats=math.inf)


def _time_ms(execute: Callable[[], object], loops: int) -> float:
    """Return the mean milliseconds of one execution."""
    started = time.perf_counter()
    for _ in range(loops):
        execute()
    return 1000.0 * (time.perf_counter() - started) / loops
