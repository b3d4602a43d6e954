"""experiments.run with one candidate that has an illegal instruction.

The instruction is real and so is the way to it: the candidate's library runs it when it is loaded.
"""

import sys
from dataclasses import replace
from typing import Any

from experiments.run import main
from hardware.host.remote.device import RpcDevice
from hardware.stored_device import StoredDevice
from tests.experiments.run.illegal_candidate import OnArrival

_CRASHING = 3
"""Which candidate of the search crashes."""


class Crash:
    """Counts what the search asks for, and breaks one of it."""

    asked = 0
    due = False


look_up, measure = StoredDevice.measure, RpcDevice.measure


def look_up_and_count(self: StoredDevice, graph: Any) -> Any:
    Crash.asked += 1
    Crash.due = Crash.asked == _CRASHING
    return look_up(self, graph)


def measure_and_crash(self: RpcDevice, graph: Any) -> Any:
    if Crash.due:
        graph = replace(graph, network=OnArrival())
    Crash.due = False
    return measure(self, graph)


if __name__ == "__main__":
    StoredDevice.measure = look_up_and_count  # type: ignore[method-assign]
    RpcDevice.measure = measure_and_crash  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
