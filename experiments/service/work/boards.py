"""Boards: what the tracker says of them, remembered for a moment, so that asking costs nothing."""

import threading
import time
from collections.abc import Callable

from hardware.errors import BoardLostError
from hardware.target import host_and_port
from hardware.tracker import TrackedKey, tracked_keys

_FRESH_S = 3.0
_FIRST_S = 5.0
"""Longest wait for the tracker's first answer."""
_REMEMBERED_S = 30.0
"""How long somebody goes on asking the tracker after the last question."""


class Boards:
    """Asks the tracker in a thread of its own, as long as somebody wants to know."""

    def __init__(
        self, tracker: str, ask: Callable[[str, int], list[TrackedKey]] = tracked_keys
    ) -> None:
        """Use a tracker at HOST:PORT; an empty text for none.

        Args:
            tracker: Where it is.
            ask: How it is asked, for tests.
        """
        self._tracker, self._ask = tracker, ask
        self._wanted_s = 0.0
        self._keys: dict[str, TrackedKey] = {}
        self._error = "the tracker was not asked yet" if tracker else ""
        self._lock = threading.Lock()
        self._asking = False
        self._first = threading.Event()

    @property
    def keys(self) -> list[TrackedKey]:
        """What the tracker said last."""
        self._want()
        return list(self._keys.values())

    @property
    def error(self) -> str:
        """Why nothing is known; empty where the tracker answers, or there is none."""
        self._want()
        return self._error

    def why_not(self, key: str) -> str:
        """Return why no board of a key can be had now; empty where one can."""
        self._want()
        if not self._tracker:
            return "the service has no tracker"
        if self._error:
            return self._error
        found = self._keys.get(key)
        if found is None or not found.addresses:
            return f"no board is registered as {key!r}"
        if not found.free:
            return f"all {len(found.addresses)} boards of {key!r} are in use by others"
        return ""

    def _want(self) -> None:
        self._wanted_s = time.monotonic()
        with self._lock:
            if self._tracker and not self._asking:
                self._asking = True
                threading.Thread(target=self._go_on_asking, name="tracker", daemon=True).start()
        if self._tracker:
            self._first.wait(_FIRST_S)  # else a job is said to wait for what is there

    def _go_on_asking(self) -> None:
        while True:
            try:
                found = self._ask(*host_and_port(self._tracker))
                self._keys, self._error = {item.key: item for item in found}, ""
            except BoardLostError as error:
                self._keys, self._error = {}, error.message
            self._first.set()
            time.sleep(_FRESH_S)
            with self._lock:
                if time.monotonic() - self._wanted_s > _REMEMBERED_S:
                    self._asking = False
                    self._first.clear()  # what is known grows old: whoever asks next waits anew
                    return
