"""The functions that a host can call over RPC, beside TVM's own.

They are registered before the first session: each session is a fork of this process and has them.
"""

import ctypes
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi

from hardware.board import names
from hardware.board.energy import describe_meter, measure_program
from hardware.board.facts import board_moment, describe_board
from hardware.board.last_end import read_end
from hardware.board.programs import Programs
from hardware.facts import OpenedSession

_programs: Programs | None = None


def session_programs() -> Programs:
    """Return the programs of this session."""
    global _programs
    if _programs is None:
        workpath = tvm.get_global_func("tvm.rpc.server.workpath")
        _programs = Programs(Path(str(workpath("programs"))).parent)
    return _programs


def register_functions(name: str, end_file: Path) -> None:
    """Register everything that `hardware.board.names` lists.

    Args:
        name: What the board is called.
        end_file: Where the end of the last session is kept.
    """

    def start(limit_s: int) -> str:
        _die_with_listener()
        signal.alarm(limit_s)
        last_end = read_end(end_file)
        opened: OpenedSession = {"pid": os.getpid(), "name": name, "last_end": last_end}
        return json.dumps(opened)

    def energy(
        file: str, settings: str, one_ms: float, window_s: float, idle_s: float, limit_s: int
    ) -> str:
        signal.alarm(limit_s)
        return measure_program(session_programs(), file, settings, one_ms, window_s, idle_s)

    table: dict[str, Callable[..., Any]] = {
        names.OPEN: start,
        names.REARM: lambda limit_s: _nothing(signal.alarm(limit_s)),
        names.FACTS: lambda: json.dumps(describe_board()),
        names.MOMENT: lambda: json.dumps(board_moment()),
        names.LOAD: lambda file: session_programs().load(file),
        names.UNLOAD: lambda file: session_programs().unload(file),
        names.RUN: lambda file, given, result: session_programs().run(file, given, result),
        names.VALUE: lambda file, tensor, result: session_programs().value(file, tensor, result),
        names.TIME: lambda file, loops, repeats: json.dumps(
            session_programs().time(file, loops, repeats)
        ),
        names.STAMP: lambda file, executions, result: session_programs().stamp(
            file, executions, result
        ),
        names.METER: describe_meter,
        names.ENERGY: energy,
    }
    for function_name, function in table.items():
        tvm_ffi.register_global_func(function_name, function, override=True)


def _nothing(_: object) -> None:
    """Drop a result that a host has no use for."""


def _die_with_listener() -> None:
    """Let the kernel end this session when the board's own process is gone; else it keeps the port.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return
