"""Serve the emulated board until Ctrl-C: `python -m tests.emulated_board.serve`.

Whoever has no board attaches this one, as docs/boards.md says.
"""

import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.emulated_board.errors import BoardUnavailable
from tests.emulated_board.make import make_board
from tests.emulated_board.rpc_board import RpcBoard, cross_tools
from tests.hardware.host.remote.boards import free_port

_CPU = "cortex-a72"  # of a Raspberry Pi 4
_BOARD = "rpi4"


def main() -> int:
    """Start the board's server, say how it is attached, and wait; return the exit status."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        board = make_board(print)
    except BoardUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="emulated-board-") as name:
        tools, port = cross_tools(board, Path(name) / "bin"), free_port()
        with RpcBoard(board, _CPU, Path(name), ["--port", str(port)]):
            print("the board listens; Ctrl-C stops it. In another shell, with its cross linker:")
            print(f"export PATH={tools}:$PATH")
            python = shlex.quote(sys.executable)
            print(
                f"{python} -m experiments.boards doctor --target.board {_BOARD} "
                f"--target.server 127.0.0.1:{port}",
                flush=True,
            )
            stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
