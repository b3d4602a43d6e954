"""RemoteProgram: a linked program on a board, with the methods that programs here have."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.errors import UnbelievableError
from hardware.measuring.believed import CLOCK_HINT, check_inside, check_times, twice
from hardware.worker.program.stamps import stamped_times_us, steps_us
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
        """Return the mean milliseconds of one execution in each of `repeats` repeats.

        Raises:
            UnbelievableError: the board's clock cannot be believed.
        """
        return twice(lambda: self._timed(loops, repeats))

    def steps_us(self, executions: int) -> npt.NDArray[np.float64]:
        """Run with stamps; return microseconds `[executions, steps]`.

        Raises:
            UnbelievableError: the board's clock cannot be believed.
        """
        return twice(lambda: self._stamped(executions))

    def _timed(self, loops: int, repeats: int) -> list[float]:
        who, started = self._session.name, time.perf_counter()
        timed = self._session.time(self.name, loops, repeats)
        waited_ms = 1000.0 * (time.perf_counter() - started)
        values_ms = check_times(timed.get("values_ms"), repeats, who)
        check_inside(loops * sum(values_ms), waited_ms, who)
        wall_s = timed.get("wall_s")
        # A board that cannot tell the time of its CPU counts as one where nothing queues.
        wall_s, cpu_s = check_times([wall_s, timed.get("cpu_s") or wall_s], 2, who)
        self.wall_s += wall_s
        self.cpu_s += cpu_s
        return values_ms

    def _stamped(self, executions: int) -> npt.NDArray[np.float64]:
        started = time.perf_counter()
        found = stamped_times_us(self._session.stamps(self.name, executions))
        waited_ms = 1000.0 * (time.perf_counter() - started)
        if (np.diff(found, axis=1) < 0).any():
            raise UnbelievableError(
                f"expected times that rise from {self._session.name}, found some that fall",
                CLOCK_HINT,
            )
        check_inside(float(found[:, -1].sum()) / 1000.0, waited_ms, self._session.name)
        return steps_us(found)
