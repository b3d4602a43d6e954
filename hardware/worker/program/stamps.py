"""Stamps of a program: the time of every step inside the whole program.

A layer alone finds its weights and its input in the nearest cache, as it read them a moment ago. In
a network the other layers have been there since: ResNet-18 reads 11 MB of weights in between.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.stamp import NANOSECONDS_A_SECOND, stamp_kernel
from hardware.kernels.planning.context import PlanContext

_CLOCK_US = 1e-3
"""Stamps are whole nanoseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamps:
    """What a program needs to stamp its steps, and what it wrote."""

    plan: KernelPlan
    rows: int
    """Executions that are remembered."""
    count: int
    """Stamps of one execution."""
    counter: Any
    times: Any

    @classmethod
    def of(cls, context: PlanContext, steps: int, rows: int) -> "Stamps":
        """Return stamps around `steps` steps; the last `rows` executions are remembered.

        The first two stamps have nothing in between: their distance is what a stamp itself takes.
        """
        count = steps + 2
        plan = context.plan(
            "stamp",
            {"rows": rows, "stamps": count},
            partial(stamp_kernel, rows=rows, stamps=count),
        )
        return cls(
            plan=plan,
            rows=rows,
            count=count,
            counter=tvm.runtime.tensor(np.zeros(1, np.int32)),
            times=tvm.runtime.tensor(np.zeros((rows, count, 2), np.int64)),
        )

    def steps_us(self) -> npt.NDArray[np.float64]:
        """Return microseconds `[executions, steps]`, less what a stamp takes."""
        times = self.times.numpy()
        taken = times[: min(int(self.counter.numpy()[0]), len(times))]
        return steps_us(stamped_times_us(taken))


def stamped_times_us(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return stamps as microseconds since each execution's first, `[executions, steps + 2]`.

    Args:
        times: `[executions, steps + 2, 2]`, seconds and nanoseconds.
    """
    since = times - times[:, :1]
    made: npt.NDArray[np.float64] = (
        since[:, :, 0] * NANOSECONDS_A_SECOND + since[:, :, 1]
    ) / 1000.0
    return made


def steps_us(times_us: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return microseconds `[executions, steps]`, less what a stamp takes.

    Stamps are slower in a slow moment, and a step of a few products may then seem to take less than
    nothing: no step takes less than the clock tells apart.

    Args:
        times_us: As `stamped_times_us` returns them.
    """
    apart = np.diff(times_us, axis=1)
    steps: npt.NDArray[np.float64] = apart[:, 1:] - np.median(apart[:, 0])
    return np.maximum(steps, _CLOCK_US)
