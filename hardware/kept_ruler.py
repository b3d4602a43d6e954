"""KeptRuler: how fast this machine is at its best, as earlier processes have seen it."""

import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hardware.measuring.host_facts import standing_facts
from hardware.measuring.ruler import SLOWDOWN_LIMIT
from hardware.store import Store

_FORGOTTEN_AFTER_S = 30 * 24 * 3600.0
_ENOUGH = 50
"""Readings, none near the best one kept, from which on the machine itself counts as slower."""
_MACHINE_ID = Path("/etc/machine-id")


class KeptRuler:
    """The best reading of the ruler on this machine, in a store.

    A process that begins in a slow minute cannot know that it is one, and its first timings would
    pass as those of a quiet machine.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """Keep the store.

        Args:
            store: Also tells later processes.
            clock: Seconds since the epoch, for tests.
        """
        self._store, self._clock = store, clock
        self._own_us, self._readings = math.inf, 0

    def best_us(self) -> float:
        """Return the shortest ruler of the last thirty days; infinity where there is none."""
        found = self._store.read("ruler", _key(), _reading_of)
        if found is None or not 0 <= self._clock() - found[1] < _FORGOTTEN_AFTER_S:
            return math.inf
        return found[0]

    def note(self, ruler_us: float) -> float:
        """Keep a reading where it is the shortest; return the shortest that counts.

        Where this process has read many and none comes near the one kept, the machine is another
        one than it was, and its own shortest counts.
        """
        self._own_us, self._readings = min(self._own_us, ruler_us), self._readings + 1
        best_us = self.best_us()
        outdated = self._readings >= _ENOUGH and self._own_us > SLOWDOWN_LIMIT * best_us
        if self._own_us < best_us or outdated:
            self._store.replace("ruler", _key(), {"best_us": self._own_us, "read_s": self._clock()})
            return self._own_us
        return best_us


def _reading_of(document: dict[str, Any]) -> tuple[float, float]:
    best_us, read_s = document.get("best_us"), document.get("read_s")
    if not (isinstance(best_us, float) and isinstance(read_s, float) and 0 < best_us < math.inf):
        raise ValueError(f"expected a reading of the ruler, found {document}")
    return best_us, read_s


def _key() -> dict[str, Any]:
    """Return what this machine is: equal processors are not equally fast."""
    try:
        machine_id = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine_id = ""
    facts = standing_facts()
    known = {name: facts.get(name) for name in ("cpu", "cores", "kernel", "numpy")}
    return {**known, "host": platform.node(), "id": machine_id, "user": os.getuid()}
