"""Quiet: of several timings of one program on a shared machine, the one that is believed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

QUIET_ROUNDS = 2
"""Undisturbed timings that a program should have before one of them is believed."""


def at_quiet_quarter(timings: Sequence[T], time_of: Callable[[T], float]) -> T:
    """Return the timing a quarter of the way from the quickest to the slowest, rounded down.

    Of up to four that is the quickest, of five the second. Whatever else runs on a machine only
    ever adds time, often for longer than one round, and seen by no ruler where it begins and ends
    inside a timing: with the middle of all rounds one layer in ten was half too slow on a busy
    machine, and with the middle of the undisturbed of three one program in ten a tenth or more.

    Args:
        timings: At least one, all taken in the same way.
        time_of: How long each took.

    >>> at_quiet_quarter([5, 3, 9, 4, 8], float), at_quiet_quarter([5, 3, 9], float)
    (4, 3)
    """
    return sorted(timings, key=time_of)[len(timings) // 4]
