"""Stamps: a kernel that writes down when it was called, to time steps inside a program.

    program    stamp 0   stamp 1   step 0   stamp 2   step 1   stamp 3 ...
    times      [rows, stamps, 2]    seconds and nanoseconds, by the monotonic clock

Execution number n writes row `n % rows`, so that the last `rows` executions are remembered. With
rows = 3, executions 0 to 4 leave these rows:

    row 0      execution 3
    row 1      execution 4
    row 2      execution 2
"""

from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import Parameter, function

NANOSECONDS_A_SECOND = 1_000_000_000

_CLOCK_MONOTONIC = 1
"""The clock that Linux's `clock_gettime` is asked for. It answers in 20 to 60 ns, without entering
the kernel."""


def stamp_kernel(symbol: str, rows: int, stamps: int) -> Any:
    """Return the TensorIR function of one stamp.

    Its arguments: the stamp's place, int32 `[1]`; the executions so far, int32 `[1]`, to which the
    last place adds one; the times, int64 `[rows, stamps, 2]`.

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
