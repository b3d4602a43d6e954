"""WorkerClient: starts the worker process, talks to it, and kills it when it must be killed.

Nothing here imports TVM or torch.
"""

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from hardware.errors import BuildError, HardwareLostError
from hardware.facts import MachineFacts
from hardware.target import TargetConfig
from hardware.wire.replies import CANDIDATE, OK

_START_LIMIT_S = 120.0
"""Limit for a new process to load TVM; it takes two seconds on an idle machine."""
_START_ATTEMPTS = 3
_TAIL_BYTES = 4000
_LAST_WORDS_S = 2.0
_REASON = re.compile(r"error|exception|exit\b|killed|not found|cannot|denied", re.IGNORECASE)
_ROOT = Path(__file__).resolve().parents[2]


class WorkerLostError(Exception):
    """Raised when the worker died or ran past its limit; it is gone, the next call starts one."""


class WorkerLateError(WorkerLostError):
    """Raised when it was the limit that ended the worker."""


class WorkerClient:
    """Owns at most one worker process. Not safe for two threads."""

    def __init__(self, config: TargetConfig, batch: int) -> None:
        """Remember what to start; the process starts with the first call."""
        self._arguments = (config, batch)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._lifeline = -1
        self._output: IO[bytes] | None = None
        self.facts: MachineFacts = {}
        """What the worker told about its target and its compiler."""

    @property
    def pid(self) -> int | None:
        """Process id of the running worker, None when none runs."""
        return None if self._process is None else self._process.pid

    def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
        """Call a method of the worker's `Workbench`.

        Args:
            method: Name of the method.
            arguments: Its arguments, pickled.
            limit_s: Wall-clock limit, after which the worker is killed.

        Raises:
            BuildError: the worker says that the candidate failed.
            WorkerLostError: the worker died.
            WorkerLateError: it was killed at the limit.
            HardwareLostError: no worker can be started.
        """
        self.ensure_started()
        return self._exchange(method, arguments, limit_s)

    def ensure_started(self) -> None:
        """Start a worker when none is alive.

        Raises:
            HardwareLostError: a worker cannot be started, several times in a row.
        """
        if self._process is not None and self._process.poll() is None:
            return
        reason = ""
        for _ in range(_START_ATTEMPTS):
            self.close()
            try:
                self._start()
                self.facts = self._exchange("open", self._arguments, _START_LIMIT_S)
                return
            except (WorkerLostError, OSError) as error:
                reason = str(error)
        raise HardwareLostError(
            f"the measuring process could not be started, {_START_ATTEMPTS} times in a row: "
            f"{reason}"
        )

    def close(self) -> None:
        """End the worker, if any; a later call starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._output is not None:
            self._output.close()
            self._output = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        read_end, self._lifeline = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._connection = Connection(ours.detach())
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "hardware.worker",
                    str(theirs.fileno()),
                    str(read_end),
                ],
                pass_fds=(theirs.fileno(), read_end),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
            )
        finally:
            theirs.close()
            os.close(read_end)

    def _exchange(self, method: str, arguments: tuple[Any, ...], limit_s: float) -> Any:
        """Send one command and wait for its reply; whatever goes wrong, no half reply is left."""
        process, connection = self._process, self._connection
        assert process is not None
        assert connection is not None
        # Not `send`: it would pass an island's torch tensors as handles of shared memory, which
        # only relatives of this process may open.
        try:
            command = pickle.dumps((method, arguments), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise BuildError(f"cannot be handed to the measuring process: {error}") from None
        # Killing from a timer covers a send to a worker that does not read, as well as the wait.
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            connection.send_bytes(command)
            kind, value = connection.recv()
        except (EOFError, OSError):
            timer.cancel()
            late = f"took more than {round(limit_s, 1):g} s for {method!r} and was killed"
            died = f"died during {method!r}"
            lost = WorkerLateError if expired.is_set() else WorkerLostError
            how = late if expired.is_set() else died + self._obituary()
            self.close()
            raise lost(f"the measuring process {how}") from None
        except BaseException:
            self.close()  # Ctrl-C in mid-call: the next reply would answer the wrong question
            raise
        finally:
            timer.cancel()
        if kind == OK:
            return value
        if kind == CANDIDATE:
            raise BuildError(value)
        raise value

    def _obituary(self) -> str:
        """Return how the worker ended: its signal or exit code, and its last words."""
        assert self._process is not None
        try:
            code = self._process.wait(_LAST_WORDS_S)  # it may still be saying why
        except subprocess.TimeoutExpired:
            self._process.kill()  # it only closed its socket
            code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f" ({how}){self._last_words()}"

    def _last_words(self) -> str:
        """Return the line of the worker's own output that looks like the reason, if any does."""
        if self._output is None:
            return ""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _TAIL_BYTES))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        # LLVM's aborts and Python's exceptions say "error"; a crash leaves a bare list of frames.
        reasons = [line.strip() for line in lines if _REASON.search(line)]
        return f": {reasons[-1]}" if reasons else ""


def _environment() -> dict[str, str]:
    """Return the worker's environment: this checkout importable, one thread for every library."""
    environment = dict(os.environ)
    paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TVM_NUM_THREADS"):
        environment[name] = "1"
    return environment
