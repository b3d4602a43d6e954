"""Stamps: a kernel that writes down when it was called, to time steps inside a program."""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import Parameter, function

__all__ = ["NANOSECONDS_A_SECOND", "stamp_kernel"]

NANOSECONDS_A_SECOND = 1_000_000_000

_CLOCK_MONOTONIC = 1
"""Of `clock_gettime` on Linux, which answers in 20 to 60 ns without entering the kernel."""


def stamp_kernel(symbol: str, rows: int, stamps: int) -> Any:
    """Return the TensorIR function of one stamp.

    Its arguments: the stamp's place, int32 `[1]`; the executions so far, int32 `[1]`, which the
    last place adds one to; the times, int64 `[rows, stamps, 2]`, seconds and nanoseconds. Execution
    number n writes row `n % rows`.

    Args:
        symbol: Name of the compiled function.
        rows: Executions that are remembered.
        stamps: Stamps of one execution.
    """

    def body(place: Any, counter: Any, times: Any) -> None:
        start = ((counter[0] % rows) * stamps + place[0]) * 2
        T.evaluate(
            T.call_extern("int32", "clock_gettime", _CLOCK_MONOTONIC, T.address_of(times[start]))
        )
        with T.If(place[0] == stamps - 1), T.Then():
            T.buffer_store(counter, counter[0] + 1, [0])

    return function(
        symbol,
        [
            Parameter(name="place", shape=(1,), dtype="int32"),
            Parameter(name="counter", shape=(1,), dtype="int32"),
            Parameter(name="times", shape=(rows, stamps, 2), dtype="int64"),
        ],
        body,
    )
