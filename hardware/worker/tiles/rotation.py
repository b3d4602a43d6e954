"""Rotation: copies of one program that take turns, so that each finds its weights gone.

In a network a layer's weights come back only after those of all others went by. A layer that runs
alone again and again keeps them in the nearest cache: what needs fewer multiplications and more
bytes then looks faster than it is.

    alone       w w w w w w
    in turns    w0 w1 w2 w3 w4 w0 ...
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from hardware.worker.program.planned import PlannedGraph
from hardware.worker.program.program import Runnable

_LEAST_BYTES = 2**16
"""Fewer bytes of constants stay near in any network."""
COPIES = 4
"""So many layers of its size a network is taken to have. ResNet-18's last convolutions have, at 2
bits, 6.5 MB in tiles of 3x3 outputs and 4.2 MB in those of 2x2. One alone takes 121 us in the
former and 176 in the latter; of two in turns 154 and 177, of three 255 and 215, of four 286 and
231, of eight 309 and 238 (AMD EPYC, Zen 5). In whole programs the former are slower, too."""
_MOST_BYTES = 2**27
"""Of all copies together."""


def copies_of(planned: PlannedGraph) -> int:
    """Return how many copies of a layer take turns: one where its weights are few."""
    size = sum(array.nbytes for plan in planned.plans for array in plan.constants)
    return 1 if size < _LEAST_BYTES else max(1, min(COPIES, _MOST_BYTES // size))


class Rotation:
    """Programs of equal kernels and weights of their own, timed as one."""

    def __init__(self, programs: Sequence[Runnable]) -> None:
        """Take turns from the first on.

        Args:
            programs: At least one.
        """
        self._programs = tuple(programs)

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run each on `x`, batch first, and return a copy of the last one's output."""
        return [program.run(x) for program in self._programs][-1]

    def value(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor as the last run of the last one left it."""
        return self._programs[-1].value(name)

    def execute(self) -> None:
        """Run each once on the input that the last `run` left in place."""
        for program in self._programs:
            program.execute()

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return the mean milliseconds of one execution in each of `repeats` repeats.

        Args:
            loops: Executions in one repeat at least; all copies run equally often.
            repeats: Number of repeats.
        """
        rounds = -(-loops // len(self._programs))
        return [self._time_ms(rounds) for _ in range(repeats)]

    def _time_ms(self, rounds: int) -> float:
        started = time.perf_counter()
        for _ in range(rounds):
            self.execute()
        return 1000.0 * (time.perf_counter() - started) / (rounds * len(self._programs))
