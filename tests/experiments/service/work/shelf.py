"""A shelf with one real board, which is this machine, and its tracker; and searches for it."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.tracker import TrackedKey, tracked_keys
from tests.experiments.service.served import SMALL
from tests.hardware.host.remote.boards import Board, Tracker

KEY = "desk"
ON_BOARD: Mapping[str, Any] = {
    **{name: value for name, value in SMALL.items() if name != "target.runner"},
    "tune": False,
    "budget": {"latency_ratio": 20.0},
    "protocol": {"repeats": 5, "min_repeat_ms": 2.0, "timeout_s": 10.0},
    "target": {"board": "same-cpu", "key": KEY},
}
"""The small search, really compiled and timed."""


@dataclass
class Shelf:
    """A tracker and a board of this machine, which come back where they were."""

    folder: Path
    tracker: Tracker
    flags: tuple[str, ...] = ()
    """Of the board."""
    board: Board = field(init=False)

    def start(self, what: str) -> None:
        """Start the tracker, or the board with it."""
        if what == "tracker":
            self.tracker = Tracker(self.folder, self.tracker.port)
            self.tracker.wait_for("bind to")
        else:
            port = self.board.port if hasattr(self, "board") else 0
            told = ("--tracker", self.tracker.address, "--key", KEY)
            self.board = Board(self.folder, *told, *self.flags, port=port)

    def kill(self, what: str) -> None:
        """Kill the tracker or the board."""
        process = self.tracker if what == "tracker" else self.board
        process.signal(signal.SIGKILL)
        process.process.wait()

    def tracked(self) -> TrackedKey:
        """Return what the tracker itself says of the board."""
        (desk,) = tracked_keys("127.0.0.1", self.tracker.port)
        return desk


@contextmanager
def shelf(folder: Path, *flags: str) -> Iterator[Shelf]:
    """Lend a shelf whose board listens, which is started with some flags."""
    lent = Shelf(folder=folder, tracker=Tracker(folder), flags=flags)
    try:
        lent.tracker.wait_for("bind to")
        lent.start("board")
        lent.board.wait_until_listening(1)
        yield lent
    finally:
        lent.board.close()
        lent.tracker.close()
