"""RemoteProgram: a linked program on a board, with the methods that programs here have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.worker.program.stamps import steps_us
from hardware.worker.rpc.session import BoardSession


class RemoteProgram:
    """Lives as long as its session, or until it is unloaded."""

    def __init__(self, session: BoardSession, name: str) -> None:
        """Keep the session and the program's name on the board."""
        self.name = name
        self.wall_s = self.cpu_s = 0.0
        """Of the board's process during all timings so far."""
        self._session = session

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run once on `x`, batch first, and return the output."""
        return self._session.run(self.name, x)

    def value(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor that the graph keeps, as the last run left it."""
        return self._session.value(self.name, name)

    def execute(self) -> None:
        """Run once on the input that the last `run` left in place."""
        self.time_repeats(1, 1)

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return the mean milliseconds of one execution in each of `repeats` repeats."""
        timed = self._session.time(self.name, loops, repeats)
        self.wall_s += timed["wall_s"]
        self.cpu_s += timed["cpu_s"]
        return [float(value) for value in timed["values_ms"]]

    def steps_us(self, executions: int) -> npt.NDArray[np.float64]:
        """Run with stamps; return microseconds `[executions, steps]`."""
        return steps_us(self._session.stamps(self.name, executions))
