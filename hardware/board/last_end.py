"""How the last session ended, written down by the board for whoever connects next.

A crashed session takes the listener with it, and the process; the host must learn afterwards
whether its candidate did that.
"""

import json
import os
import re
import signal
import tempfile
from pathlib import Path
from typing import Any, cast

from hardware.facts import SessionEnd

_ENDED = re.compile(r"Child process (\d+) exited unsuccessfully with error code (-?\d+)")
"""What TVM's listener raises. Source: apache-tvm 0.27, tvm/rpc/server.py, `_serving`."""


def end_file(name: str) -> Path:
    """Return the file of a board: among this user's temporary files, by the board's name.

    Args:
        name: Tells apart several boards that one machine plays.
    """
    return Path(tempfile.gettempdir()) / f"bitalloc-board-{os.getuid()}-{name}.json"


def session_end(message: str) -> SessionEnd | None:
    """Return what a listener's last words say of its session; None where they say nothing."""
    found = _ENDED.search(message)
    if found is None:
        return None
    pid, code = int(found[1]), int(found[2])
    return {"pid": pid, "code": code, "signal": _signal_name(-code) if code < 0 else ""}


def write_end(file: Path, end: SessionEnd) -> None:
    """Keep an end for the next start of the board; a file that cannot be written is left out."""
    try:
        made = file.with_suffix(f".{os.getpid()}")
        made.write_text(json.dumps(end), encoding="utf-8")
        made.replace(file)
    except OSError:
        return


def read_end(file: Path) -> SessionEnd:
    """Return the kept end, empty where there is none."""
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(SessionEnd, found) if isinstance(found, dict) else {}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
