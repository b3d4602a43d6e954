"""Hang-up: a session ends at once when its host has gone, whatever it is computing.

TVM looks at the connection between two calls alone. A timing takes as long as the host allows (a
minute by default), and the board would be held for so long by a run that somebody cancelled.
"""

import os
import select
import threading
from collections.abc import Callable
from typing import Any

ServeLoop = Callable[..., None]
"""`(socket, load_library, work_path)`: serves one session in a process of its own, until it ends.
Source: apache-tvm 0.27, tvm/rpc/server.py, `_serve_loop`."""


def ending_with_host(serve_loop: ServeLoop) -> ServeLoop:
    """Return what serves a session as `serve_loop` does, and ends its process with the connection.

    The process ends well (exit code 0): the listener goes on, and others have the board.
    """

    def serve(connection: Any, *more: Any) -> None:
        watch = threading.Thread(
            target=_end_with, args=(connection.fileno(),), name="hang-up", daemon=True
        )
        watch.start()
        serve_loop(connection, *more)

    return serve


def _end_with(descriptor: int) -> None:
    looking = select.poll()
    # Nothing else wakes this thread, so that it costs no timing anything.
    looking.register(descriptor, select.POLLRDHUP)
    looking.poll()
    os._exit(0)
