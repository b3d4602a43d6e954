"""The worker process: what it does for a device can crash or hang, and the command lives on.

Run as `python -m hardware.worker COMMANDS LIFELINE` with two file descriptors. COMMANDS is a
socket that carries pickled `(method, arguments)` one way and `(kind, value)` the other; LIFELINE is
a pipe that nobody writes to, whose end means that the parent is gone.

A search loads TVM here alone; `bench`, `export` and `boards list` load it in their own process.
"""

import fcntl
import os
import select
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from hardware.target import TargetConfig
from hardware.wire.replies import CANDIDATE, OK, WORLD


def main(commands: int, lifeline: int) -> None:
    """Serve commands until the parent closes the socket."""
    _die_with_parent(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with Connection(commands) as connection:
        bench: Any = None
        while True:
            try:
                method, arguments = connection.recv()
            except EOFError:
                return
            if method == "open":
                reply, bench = _open(arguments)
            else:
                reply = _answer(bench, method, arguments)
            connection.send(reply)


def _open(arguments: tuple[Any, ...]) -> tuple[tuple[str, Any], Any]:
    """Load TVM and make the workbench; the reply carries its facts."""
    # TVM imports torch when it finds it: two seconds and 200 MB that measuring has no use for.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        bench = _make_bench(*arguments)
        return (OK, bench.facts()), bench
    except Exception as error:
        return (WORLD, _portable(error)), None
    finally:
        del sys.modules["torch"]


def _make_bench(config: TargetConfig, batch: int) -> Any:
    if config.remote:
        from hardware.worker.rpc.workbench import RemoteWorkbench

        return RemoteWorkbench(config, batch)
    from hardware.worker.workbench import Workbench

    return Workbench(config, batch)


def _answer(bench: Any, method: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    from hardware.errors import HardwareLostError, TargetError, ToolchainError

    try:
        return OK, getattr(bench, method)(*arguments)
    except (TargetError, ToolchainError, HardwareLostError, OSError) as error:
        return WORLD, _portable(error)
    except Exception as error:
        return CANDIDATE, _one_line(error)


def _portable(error: Exception) -> Exception:
    """Return an exception that unpickles anywhere: the project's own, or one that quotes it."""
    from hardware.errors import HardwareLostError, TargetError
    from quant.errors import BitAllocError
    from quant.records.disk import CLOSED, FULL, what_helps

    if isinstance(error, BitAllocError):
        return error
    if isinstance(error, OSError) and error.errno in (*FULL, *CLOSED):
        return TargetError(
            f"cannot write {error.filename or 'a file'}: {error.strerror}",
            what_helps(error, "the variable TMPDIR, for what is linked"),
        )
    return HardwareLostError(f"the measuring process cannot work: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    """Return an error as one line; TVM's own texts run over many."""
    from quant.errors import BitAllocError

    if isinstance(error, BitAllocError):
        return str(error)
    lines = traceback.format_exception_only(error)[-1].strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process when the lifeline's other end closes.

    A signal, because a hung kernel would keep a watching thread from running, and not
    PR_SET_PDEATHSIG, which already fires when the thread that started this process ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # the default ends the process
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit(1)  # the parent was gone before the signal could be armed
