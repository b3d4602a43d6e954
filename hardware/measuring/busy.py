"""Busy: what else this machine has to do, what that makes of limits, and how it is told."""

import os

_MOST = 10.0
"""Limits grow by no more: a program that never ends is to be noticed on any machine."""
_BUSY_SHARE = 0.5
"""Load of a core from which timings are worth a warning."""


def load_of_core() -> float:
    """Return how many processes wanted each core of this machine, the mean of the last minute."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def busy_limit_s(limit_s: float) -> float:
    """Return the wall-clock limit of what may take `limit_s` where nothing else runs.

    Where two processes want each core, everything takes twice as long.
    """
    return limit_s * min(max(1.0, load_of_core()), _MOST)


def busy_sentence() -> str:
    """Say that others use this machine, empty where hardly anybody does."""
    if load_of_core() <= _BUSY_SHARE:
        return ""
    return (
        f"this machine is busy (a load of {os.getloadavg()[0]:.1f} on {os.cpu_count() or 1} "
        "cores): what is timed now may be slower than on one that is left alone"
    )
