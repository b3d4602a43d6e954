"""Streams: who follows a job's events, and wakes when there is one."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from experiments.service.errors import BusyError


@dataclass(frozen=True, slots=True)
class Page:
    """What a stream sends next."""

    messages: tuple[str, ...]
    last: int
    """Number of the last event in it; that of the page before where there is none."""
    over: bool
    """Whether there will be no more."""


class Streams:
    """Wakes those who follow a job. Only `heard` may be called from other threads."""

    def __init__(self, most: int) -> None:
        """Allow so many at once."""
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)
        self._pages: dict[int, dict[int, Page]] = defaultdict(dict)
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
                self._pages.pop(job, None)

    def page(self, job: int, after: int, read: Callable[[], Page]) -> Page:
        """Return what comes after an event; of all who follow a job one reads it.

        What is read before something happens is forgotten when that is heard, and whoever got it
        is woken then.
        """
        pages = self._pages[job]
        if after not in pages:
            pages[after] = read()
        return pages[after]

    def _wake(self, job: int) -> None:
        self._pages.pop(job, None)
        for woken in self._waiting.get(job, ()):
            woken.set()
