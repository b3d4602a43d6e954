"""Turns: long computations one after another, few of which wait, so that others are answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from experiments.service.errors import BusyError


class Turns:
    """Lends one turn at a time."""

    def __init__(self, most: int) -> None:
        """Let so many be inside, the one whose turn it is among them."""
        self._most = most
        self.inside = 0
        """How many have their turn or wait for it."""
        self._counting = threading.Lock()
        self._turn = threading.Lock()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for one's turn.

        Raises:
            BusyError: too many wait already.
        """
        with self._counting:
            if self.inside >= self._most:
                raise BusyError(
                    f"expected fewer than {self._most} such requests at once, found as many",
                    "ask again in a moment",
                )
            self.inside += 1
        try:
            with self._turn:
                yield
        finally:
            with self._counting:
                self.inside -= 1
