"""A search on many machines, event by event, with times that were measured elsewhere.

method -> workers (retrain) -> one link (results) -> this process -> board
  ^                                                                    |
  +-------------- the next proposals, once all of these are measured --+
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_WINDOW = 2
"""Allocations for each worker that are asked for ahead, as `Evaluator` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Seconds that the parts of one evaluation take; each sample is as likely."""

    train_s: tuple[float, ...]
    """Of a retraining and its scoring, in a worker."""
    result_s: float
    """That a result takes over the link, which takes one at a time."""
    driver_s: tuple[float, ...]
    """Of what is done here with each: bookkeeping, and building the program."""
    board_s: tuple[float, ...]
    """Of a measurement; one board measures one program after another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """One simulated search."""

    workers: int
    wall_s: float
    train_s: float
    """Of all workers together."""
    board_s: float
    driver_s: float
    link_s: float

    @property
    def shares(self) -> dict[str, float]:
        """How much of the wall time each part was busy."""
        return {
            "workers": self.train_s / self.workers / self.wall_s,
            "board": self.board_s / self.wall_s,
            "driver": self.driver_s / self.wall_s,
            "object store": self.link_s / self.wall_s,
        }

    @property
    def busiest(self) -> str:
        """What more workers would wait for; `workers` where more of them help."""
        return max(self.shares, key=lambda part: self.shares[part])


def simulate(
    times: Times, *, workers: int, evaluations: int, proposals: int, seed: int
) -> Simulated:
    """Play one search as `Evaluator` does with a pool: results are taken in the order asked.

    Args:
        times: What is drawn from.
        workers: That retrain at once.
        evaluations: How many.
        proposals: Allocations that the method proposes before it sees what they come to.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    train = _draw(rng, times.train_s, evaluations)
    driver = _draw(rng, times.driver_s, evaluations)
    board = _draw(rng, times.board_s, evaluations)
    free = [0.0] * workers  # a heap: when each worker is
    now, link = 0.0, 0.0
    waiting: deque[int] = deque()
    arrives: dict[int, float] = {}

    def finish(at_most: int) -> None:
        nonlocal now
        while len(waiting) > at_most:
            number = waiting.popleft()
            now = max(now, arrives.pop(number)) + driver[number] + board[number]

    for number in range(evaluations):
        begins = max(now, heapq.heappop(free))
        heapq.heappush(free, begins + train[number])
        # Results go over the link in the order asked, which is nearly that in which they are done.
        link = max(link, begins + train[number]) + times.result_s
        arrives[number] = link
        waiting.append(number)
        finish(_WINDOW * workers)
        if (number + 1) % proposals == 0:
            finish(0)
    finish(0)
    return Simulated(
        workers=workers,
        wall_s=now,
        train_s=sum(train),
        board_s=sum(board),
        driver_s=sum(driver),
        link_s=times.result_s * evaluations,
    )


def _draw(rng: np.random.Generator, samples: Sequence[float], count: int) -> list[float]:
    drawn: list[float] = rng.choice(np.asarray(samples), count).tolist()
    return drawn
