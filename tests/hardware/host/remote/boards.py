"""Boards of this machine: the real agent and the real tracker, on 127.0.0.1."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from hardware.board import names
from hardware.board.last_end import end_file

_ROOT = Path(__file__).resolve().parents[4]
_LIMIT_S = 60.0
_TIMING_LIMIT_S = 900.0
_TIMING_CPU_S = 2.0
"""Connecting and the reference kernel take a fraction of it."""


def free_port() -> int:
    """Return a port that nothing listens on, below those that connections are given."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


class _Process:
    """A process of its own group, with what it wrote; ended with all that it started."""

    def __init__(self, folder: Path, name: str, command: Sequence[str], env: Any) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def told(self) -> str:
        return self._log.read_text()

    def signal(self, number: int) -> None:
        """Send a signal to the process and to everything that it started."""
        os.killpg(self.process.pid, number)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait()

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + _LIMIT_S
        while self.told().count(text) < times:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {text!r} in: {self.told()[-2000:]}")
            time.sleep(0.05)


class Board(_Process):
    """`python -m hardware.board` on this machine; a context manager."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        port: int = 0,
        name: str = "",
        command: Sequence[str] = ("-m", "hardware.board"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.name = name or f"board{self.port}"
        self.end_file = end_file(f"{self.name}-{self.port}")
        self.end_file.unlink(missing_ok=True)
        given = [*command, "--port", str(self.port), "--name", self.name, *arguments]
        default = {**os.environ, "PYTHONPATH": str(_ROOT)}
        env = {**(environment or default), "TMPDIR": str(self.end_file.parent)}
        super().__init__(folder, self.name, [sys.executable, *given], env)

    def __enter__(self) -> "Board":
        self.wait_until_listening(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.end_file.unlink(missing_ok=True)

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_until_listening(self, times: int) -> None:
        self.wait_for("listening on", times)

    def open_session(self) -> int:
        """Open a session and leave it open; return its process id."""
        from tvm import rpc

        self._session = rpc.connect("127.0.0.1", self.port)
        opened = json.loads(str(self._session.get_function(names.OPEN)(60)))
        return int(opened["pid"])

    def close_session(self) -> None:
        """Let others have the board."""
        del self._session


class Tracker(_Process):
    """TVM's own tracker; a context manager."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port = port or free_port()
        command = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--port-end", str(self.port + 1)]
        super().__init__(folder, f"tracker{self.port}-{time.monotonic_ns()}", command, None)

    def __enter__(self) -> "Tracker":
        self.wait_for("bind to")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def wait_for_a_timing(board: Board) -> None:
    """Return once the board's session computes for long, as it does in a timing and never else."""
    deadline = time.monotonic() + _TIMING_LIMIT_S
    while _session_cpu_s(board) < _TIMING_CPU_S:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no timing: {board.told()[-2000:]}")
        time.sleep(0.1)


def _session_cpu_s(board: Board) -> float:
    """Return the CPU seconds that the open session's process has used."""
    with suppress(psutil.Error):
        for child in psutil.Process(board.process.pid).children():
            return float(child.cpu_times().user)
    return 0.0
