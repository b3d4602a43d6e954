"""python -m tests.hardware.host.remote.lying_board: the real agent, whose clock lies.

The environment says how: `LIE` is what it says in place of its times, `LIE_CALLS` how many calls
lie, `LIE_AFTER` how many tell the truth before. Sessions are forks: each counts for itself.
"""

import os
import sys
from typing import Any

from hardware.board.command import main
from hardware.board.programs import Programs

_LIES: dict[str, Any] = {
    "negative": lambda true: [-value for value in true],
    "zero": lambda true: [0.0 for _ in true],
    "nan": lambda true: [float("nan") for _ in true],
    "fast": lambda true: [1000.0 + 1000.0 * value for value in true],
    "short": lambda true: true[1:],
    "text": lambda true: "soon",
}


def _lie(what: str, after: int, calls: int) -> None:
    true_time, count = Programs.time, 0

    def time(self: Programs, name: str, loops: int, repeats: int) -> Any:
        nonlocal count
        count += 1
        true: Any = true_time(self, name, loops, repeats)
        lies = after < count <= after + calls
        return {**true, "values_ms": _LIES[what](true["values_ms"])} if lies else true

    Programs.time = time  # type: ignore[method-assign]


if __name__ == "__main__":
    _lie(
        os.environ["LIE"],
        int(os.environ.get("LIE_AFTER", "0")),
        int(os.environ.get("LIE_CALLS", "1000000")),
    )
    sys.exit(main())
