"""A program under a keeper, until both have ended."""

import time
from pathlib import Path
from typing import Any

from experiments.service.folder import JobFolder
from experiments.service.work import kept
from experiments.service.work.keeper import Ended, Order


def keep(folder: Path, arguments: list[str], **more: Any) -> tuple[Ended, str]:
    """Return how a program ended, and what it printed; more is of its order."""
    place = JobFolder(folder)
    folder.mkdir(exist_ok=True)
    order = Order(
        attempt=1, arguments=arguments, **{"wall_s": 60.0, "memory_bytes": 1 << 30, **more}
    )
    assert kept.start(place, order)
    until = time.monotonic() + 120
    while (ended := kept.ended(place)) is None or kept.is_at_work(place):
        assert time.monotonic() < until
        time.sleep(0.05)
    return ended, place.log.read_text()
