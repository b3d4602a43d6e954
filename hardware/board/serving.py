"""Serving: TVM's RPC server inside this process, so that its end is seen.

TVM's own command starts a second process whose listener may die unseen: the board then looks alive
and can never be reached again.
"""

import multiprocessing
import sys
import threading
from dataclasses import dataclass
from typing import Any

from hardware.board.hang_up import ending_with_host
from hardware.board.last_end import end_file, session_end, write_end
from hardware.board.names import LISTENER_DIED

_TRACKER_PORTS = 10
"""Ports that are tried where a tracker tells hosts which one it became."""


@dataclass(frozen=True)
class Listener:
    """Where a board listens, and where it registers."""

    host: str
    port: int
    tracker: tuple[str, int] | None
    key: str
    address: str | None
    """The address that the tracker tells hosts; None: the one that the board's connection has."""
    name: str


def serve(listener: Listener) -> int:
    """Serve until the listener dies; return the exit code.

    Raises:
        OSError: the address cannot be listened on.
    """
    # Sessions must be forks of this process, or they would lack the functions registered in it.
    multiprocessing.set_start_method("fork")
    from tvm.rpc import server

    from hardware.board.functions import register_functions

    server._serve_loop = ending_with_host(server._serve_loop)
    file = end_file(f"{listener.name}-{listener.port}")
    register_functions(listener.name, file)
    last_words: list[str] = []
    threading.excepthook = lambda arguments: _note(arguments, last_words)
    ports = _TRACKER_PORTS if listener.tracker else 1
    try:
        state = server.PopenRPCServerState(
            listener.host,
            listener.port,
            listener.port + ports,
            tracker_addr=listener.tracker,
            key=listener.key,
            custom_addr=listener.address,
        )
    except ValueError as error:
        raise OSError(str(error)) from None
    where = f", registered as {listener.key!r}" if listener.tracker else ""
    print(f"board {listener.name}: listening on {listener.host}:{state.port}{where}", flush=True)
    state.thread.join()
    message = last_words[-1] if last_words else "no reason given"
    if end := session_end(message):
        write_end(file, end)
    print(f"board {listener.name}: the listener ended: {message}", file=sys.stderr, flush=True)
    return LISTENER_DIED


def _note(arguments: Any, last_words: list[str]) -> None:
    last_words.append(str(arguments.exc_value))
