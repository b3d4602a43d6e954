"""Believed: times come from clocks and boards, and are looked at where they come in.

A number that cannot be true is taken once more: one slip is no verdict on a device. Twice in a row,
the device's clock or meter is not to be believed, and no budget must be made of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hardware.errors import UnbelievableError

T = TypeVar("T")

CLOCK_HINT = (
    "a clock that stands still, jumps or runs at another speed cannot time programs: look at the "
    "device's time source, and at what emulates it, then go on with --resume"
)
_ROOM = 1.1
"""How much longer than the wait for it a timing may say that it took: clocks differ by far less."""
_ROOM_MS = 1.0
_MOST_OFF = 20.0
"""By what factor a program may miss its layer table: bits and neighbours explain two or three."""


def twice(take: Callable[[], T]) -> T:
    """Return what `take` takes; where that cannot be true, what it takes the second time.

    Raises:
        UnbelievableError: neither can be.
    """
    try:
        return take()
    except UnbelievableError:
        return take()


def is_time(value: object) -> bool:
    """Return whether this is a finite number above 0, as a time or a ratio of times is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def check_times(values: Any, count: int, who: str) -> list[float]:
    """Return times as numbers.

    Args:
        values: What a device said: `count` finite numbers above 0.
        count: How many were asked for.
        who: The device, for the sentence.

    Raises:
        UnbelievableError: they are something else.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise UnbelievableError(
            f"expected {count} times from {who}, found {_short(values)}", CLOCK_HINT
        )
    for value in values:
        if not is_time(value):
            raise UnbelievableError(
                f"expected times above 0 from {who}, found {_short(value)}", CLOCK_HINT
            )
    return [float(value) for value in values]


def check_inside(took_ms: float, waited_ms: float, who: str) -> None:
    """Refuse a timing that says it took longer than it was waited for.

    Raises:
        UnbelievableError: it does.
    """
    if not took_ms <= _ROOM * waited_ms + _ROOM_MS:
        raise UnbelievableError(
            f"{who} said that it computed for {took_ms:.4g} ms, and was waited for "
            f"{waited_ms:.4g} ms",
            CLOCK_HINT,
        )


def check_near(found_ms: float, expected_ms: float, what: str) -> None:
    """Refuse a time that nothing like it was expected of.

    Args:
        found_ms: Measured.
        expected_ms: By the layer table, above 0.
        what: The program, for the sentence.

    Raises:
        UnbelievableError: one is more than twenty times the other.
    """
    if not expected_ms / _MOST_OFF <= found_ms <= expected_ms * _MOST_OFF:
        raise UnbelievableError(
            f"expected {what} to take about {expected_ms:.4g} ms by the layer table, found "
            f"{found_ms:.4g} ms",
            CLOCK_HINT,
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
