"""Names that board and host share: functions that can be called over RPC, and exit codes."""

AGENT_VERSION = 3
"""Raised whenever a function below changes: host and board must agree on it."""

_PREFIX = "bitalloc.board."

OPEN = _PREFIX + "open"
"""`(limit_s: int) -> JSON` of the session: must be called first; see `REARM` for the limit."""
REARM = _PREFIX + "rearm"
"""`(limit_s: int)`: the session ends itself, by SIGALRM, unless it is called again in time. So
neither a kernel that hangs nor a host that lost power keeps the board."""
FACTS = _PREFIX + "facts"
"""`() -> JSON`: what the board is."""
MOMENT = _PREFIX + "moment"
"""`() -> JSON`: clock, temperature, throttling now."""
LOAD = _PREFIX + "load"
"""`(name: str)`: load an uploaded library as a program."""
UNLOAD = _PREFIX + "unload"
"""`(name: str)`: forget a program and its file."""
RUN = _PREFIX + "run"
"""`(name: str, input: str, output: str)`: run once, from one uploaded .npy file to another."""
VALUE = _PREFIX + "value"
"""`(name: str, tensor: str, output: str)`: write a tensor that the last run left to a .npy file."""
TIME = _PREFIX + "time"
"""`(name: str, loops: int, repeats: int) -> JSON` with `values_ms`, `wall_s` and `cpu_s`."""
STAMP = _PREFIX + "stamp"
"""`(name: str, executions: int, output: str)`: run with stamps; the .npy file is int64
`[executions, stamps, 2]`, seconds and nanoseconds."""
METER = _PREFIX + "meter"
"""`(settings: JSON) -> JSON` of an energy meter of the board: `energy_source` and `meter`, or
`error` and `hint`. Settings are the arguments of `hardware.energy.open_meter`."""
ENERGY = _PREFIX + "energy"
"""`(name: str, settings: JSON, one_ms, window_s, idle_s: float, limit_s: int) -> JSON`: run a
program many times in one energy window, which may take up to the limit; an
`hardware.energy.Energy`, or `error` and `hint`."""

LISTENER_DIED = 5
"""Exit code of a board whose listener ended, mostly because a session crashed: start it again."""
NO_RUNTIME = 6
"""Exit code of a board that lacks TVM or another package."""
