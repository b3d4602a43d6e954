"""Cooling: a timing during which the board was held back is void, and is taken again when cool."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hardware.errors import HardwareLostError
from hardware.facts import MomentFacts

T = TypeVar("T")

_ATTEMPTS = 3
_COOL_DOWN_S = 180.0
"""Longest wait for a board to cool down; a Pi without a heat sink takes about a minute."""
_LOOK_S = 5.0
_STILL_C = 1.0
"""A board that cools by less than this between two looks is as cool as it gets. Only not being held
back any more is not enough: the next timing would begin just below the limit."""
_CLOCK_SHARE = 0.95
"""Part of its highest clock that a board must run at where its governor never lowers it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cooled(Generic[T]):
    """A timing that counts, and what was seen around it."""

    value: T
    before: MomentFacts
    """The board's moment before the timing."""
    after: MomentFacts
    """And after it."""
    void: tuple[str, ...] = field(default=())
    """Why earlier attempts were thrown away."""
    waited_s: float = 0.0


def held_back(moment: MomentFacts, limit_mhz: float | None = None) -> list[str]:
    """Return why a board is slower than it should be at a moment; empty if nothing says so.

    Args:
        moment: As the board tells it.
        limit_mhz: The highest clock that it may have.
    """
    reasons = list(moment.get("throttled") or ())
    clock = moment.get("cpu_mhz")
    steady = moment.get("governor") == "performance"
    if steady and clock and limit_mhz and clock < _CLOCK_SHARE * limit_mhz:
        reasons.append(f"{clock:g} MHz instead of {limit_mhz:g} MHz")
    return reasons


def time_cool(
    work: Callable[[], T],
    moment: Callable[[], MomentFacts],
    limit_mhz: float | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Cooled[T]:
    """Do a timing, and do it again after a cool-down where the board was held back around it.

    Args:
        work: The timing.
        moment: Asks the board for clock, temperature and throttling.
        limit_mhz: The highest clock that the board may have.
        sleep: Waits, for tests.
        clock: Seconds, for tests.

    Raises:
        HardwareLostError: the board is still held back after several cool-downs.
    """
    started = clock()
    void: list[str] = []
    for _ in range(_ATTEMPTS):
        before = moment()
        if reasons := held_back(before, limit_mhz):
            void.append("before: " + ", ".join(reasons))
            _cool_down(before, moment, limit_mhz, sleep, clock)
            continue
        value = work()
        after = moment()
        if reasons := held_back(after, limit_mhz):
            void.append("after: " + ", ".join(reasons))
            _cool_down(after, moment, limit_mhz, sleep, clock)
            continue
        return Cooled(
            value=value, before=before, after=after, void=tuple(void), waited_s=clock() - started
        )
    raise HardwareLostError(
        f"the board was held back in {_ATTEMPTS} timings in a row ({'; '.join(void)})",
        "cool it better or give it a stronger power supply, then go on with --resume",
    )


def _cool_down(
    hot: MomentFacts,
    moment: Callable[[], MomentFacts],
    limit_mhz: float | None,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    """Wait until the board is as cool as it gets, or for as long as is allowed."""
    started = clock()
    heat = hot.get("hottest_c")
    while clock() - started < _COOL_DOWN_S:
        sleep(_LOOK_S)
        now = moment()
        heat_then, heat = heat, now.get("hottest_c")
        still = heat is None or heat_then is None or heat > heat_then - _STILL_C
        if still and not held_back(now, limit_mhz):
            return
