"""ReferenceTimes: the reference kernel's times of every board of a run, and the drift they show."""

import logging
import math
import threading
from dataclasses import dataclass, field

from hardware.measuring.ruler import RulerReading

_logger = logging.getLogger(__name__)

DRIFT_LIMIT = 0.05
"""Change of the reference kernel's time, against the first of the run and then against what was
reported last, that is reported."""


@dataclass(slots=True)
class ReferenceTimes:
    """Times by board; safe for several threads."""

    _best_us: dict[str, float] = field(default_factory=dict)
    _first_us: dict[str, float] = field(default_factory=dict)
    _reported: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def best_us(self, board: str) -> float:
        """Return the shortest time of a board's reference kernel; infinity before the first."""
        with self._lock:
            return self._best_us.get(board, math.inf)

    def note(self, board: str, reading: RulerReading) -> float:
        """Remember a reading; return how much slower the board is than at its first one.

        Returns:
            The change as a share: 0.1 is a tenth slower.
        """
        with self._lock:
            self._best_us[board] = min(self._best_us.get(board, math.inf), reading.best_us)
            first_us = self._first_us.setdefault(board, reading.before_us)
            drift = reading.after_us / first_us - 1.0
            news = abs(drift - self._reported.get(board, 0.0)) > DRIFT_LIMIT
            if news:
                self._reported[board] = drift
        if news:
            share = 100.0 * (1.0 + drift)
            _logger.warning(
                "%s: the reference kernel takes %.0f %% of its first time", board, share
            )
        return drift
