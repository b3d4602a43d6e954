"""BoardProcess: one process on the board that calls functions of one library after another."""

import json
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.emulated_board.errors import BoardProcessError

Array = npt.NDArray[Any]

_TIMEOUT_S = 120.0
"""For one answer; less than a test's own limit, so that no process outlives its test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function of a library and its arguments, all tensors, outputs among them."""

    symbol: str
    arguments: tuple[Array, ...]


class BoardProcess:
    """Started at the first call, and again after a call that ended it; a context manager.

    Args:
        command: Runs `serve_calls.py` on the board.
        environment: Of the process.
        cpu: What the board pretends to be, for messages.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cpu: str) -> None:
        self.command, self.environment, self.cpu = list(command), dict(environment), cpu
        self._running: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="board-")

    def __enter__(self) -> "BoardProcess":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its files."""
        self._end()
        self._folder.cleanup()

    def call(self, library: Path, calls: Sequence[Call]) -> list[tuple[Array, ...]]:
        """Call functions of a linked library, one after another.

        Args:
            library: Made by `EmulatedBoard.link`; a path that no earlier call has used.
            calls: What to call; the arrays are copied, and stay as they are.

        Returns:
            For each call its arguments as they were after it.

        Raises:
            BoardProcessError: A function raised, or ended the process; with `-SIGILL` the CPU
                lacks an instruction.
        """
        given, taken = (Path(self._folder.name) / name for name in ("given.npz", "taken.npz"))
        arrays = {f"{i}_{j}": a for i, c in enumerate(calls) for j, a in enumerate(c.arguments)}
        np.savez(given, allow_pickle=False, **arrays)
        answer = self._ask(
            library=str(library),
            symbols=[call.symbol for call in calls],
            given=str(given),
            taken=str(taken),
        )
        if answer:
            raise BoardProcessError(f"on the board as {self.cpu}: {answer['error']}")
        with np.load(taken) as results:
            return [
                tuple(results[f"{i}_{j}"] for j in range(len(call.arguments)))
                for i, call in enumerate(calls)
            ]

    def _ask(self, **request: Any) -> dict[str, str]:
        if self._running is None:
            self._running = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        process = self._running
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._lost(process) from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(_TIMEOUT_S):
                self._end()
                raise BoardProcessError(f"no answer from the board within {_TIMEOUT_S} s")
        line = process.stdout.readline()
        if not line:
            raise self._lost(process)
        answer: dict[str, str] = json.loads(line)
        return answer

    def _lost(self, process: "subprocess.Popen[str]") -> BoardProcessError:
        """Return the error of a process that ended; the next call starts another."""
        self._running = None
        _, written = process.communicate()
        return ended(process.returncode, self.cpu, written)

    def _end(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.communicate()
            self._running = None


def ended(returncode: int, cpu: str, written: str) -> BoardProcessError:
    """Return the error of a process that ended by itself, with what it wrote to standard error."""
    status = signal.Signals(-returncode).name if returncode < 0 else str(returncode)
    message = f"the board's process ended with {status} as {cpu}: {written.strip()[-2000:]}"
    return BoardProcessError(message, returncode=returncode)
