"""Streams: who follows a job's events, and wakes when there is one."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from experiments.service.errors import BusyError


class Streams:
    """Wakes those who follow a job. Only `heard` may be called from other threads."""

    def __init__(self, most: int) -> None:
        """Allow so many at once."""
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)
        self.open = 0
        """How many there are."""
        self.ending = asyncio.Event()
        """Set when the server stops: streams end, and clients come back to the next one."""

    def begin(self) -> None:
        """Use the running loop."""
        self._loop = asyncio.get_running_loop()

    def heard(self, job: int) -> None:
        """Wake whoever follows a job, by its number; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job)

    def end(self) -> None:
        """End all streams."""
        self.ending.set()
        for job in list(self._waiting):
            self._wake(job)

    @asynccontextmanager
    async def following(self, job: int) -> AsyncIterator[asyncio.Event]:
        """Lend an event that is set when something happened to the job; clear it before looking.

        Raises:
            BusyError: as many follow as may.
        """
        if self.open >= self._most:
            raise BusyError(
                f"expected fewer than {self._most} open event streams, found as many",
                "ask for events with ?after= now and then, or come back later",
            )
        woken = asyncio.Event()
        self.open += 1
        self._waiting[job].add(woken)
        try:
            yield woken
        finally:
            self.open -= 1
            self._waiting[job].discard(woken)
            if not self._waiting[job]:
                del self._waiting[job]

    def _wake(self, job: int) -> None:
        for woken in self._waiting.get(job, ()):
            woken.set()
