"""The board's command line."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from hardware.board.keeper import keep_serving
from hardware.board.make_pyz import pack
from hardware.board.names import NO_RUNTIME
from hardware.board.serving import Listener, serve
from hardware.board.systemd import systemd_unit

_WARNING = """\
warning: TVM RPC has neither password nor encryption: whoever reaches {host} can run any code on
this machine as this user. Use it in a network you trust, and nowhere else."""
_PORT = 9090


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, pack or print as the command line asks; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parse(given)
    try:
        if options.pack:
            pack(Path(options.pack))
            print(f"packed: {options.pack}")
            return 0
        if options.print_systemd_unit:
            kept = [word for word in given if word != "--print-systemd-unit"]
            print(systemd_unit(kept, _program()), end="")
            return 0
        return _serve(options)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hardware.board",
        description="Serve this machine over TVM RPC, so that BitAlloc can measure on it.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--port", type=int, default=_PORT, help=f"first port to try (default: {_PORT})")
    add("--tracker", type=_address, help="HOST:PORT of the tracker to register with")
    add("--key", default="", help="what the tracker calls boards of this kind")
    add("--address", help="address that the tracker tells hosts, where it cannot see it itself")
    add("--name", default=socket.gethostname(), help="name of this board (default: host name)")
    add("--restart", action="store_true", help="start again by itself whenever it ends")
    add("--print-systemd-unit", action="store_true", help="print a unit that runs this command")
    add("--pack", metavar="FILE.pyz", help="write the board's side as one file, and end")
    options = parser.parse_args(arguments)
    if bool(options.tracker) != bool(options.key):
        parser.error("--tracker and --key belong together")
    return options


def _serve(options: argparse.Namespace) -> int:
    print(_WARNING.format(host=f"{options.host}:{options.port}"), file=sys.stderr, flush=True)
    # The compiler's library is 240 MB that a board has no use for, and may not have.
    os.environ.setdefault("TVM_USE_RUNTIME_LIB", "1")
    listener = Listener(
        host=options.host,
        port=options.port,
        tracker=options.tracker,
        key=options.key,
        address=options.address,
        name=options.name,
    )
    return keep_serving(lambda: _serve_at(listener)) if options.restart else _serve_at(listener)


def _serve_at(listener: Listener) -> int:
    try:
        return serve(listener)
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        print(
            "hint: install what docs/boards.md lists, for Python 3.10 or newer on a 64-bit system",
            file=sys.stderr,
        )
        return NO_RUNTIME


def _program() -> Path | None:
    """Return the packed file that runs, None when the package itself does."""
    started = Path(sys.argv[0]).resolve()
    return started if started.suffix == ".pyz" else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, found {text!r}")
    return host, int(port)
