"""RpcBoard: the packed agent on the emulated board, started again whenever it ends."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from hardware.board.make_pyz import pack
from tests.emulated_board.board import EmulatedBoard

_PAUSE_S = 0.5
_LISTENING_LIMIT_S = 60.0


class RpcBoard:
    """Plays what systemd does on a real board. A context manager.

    Args:
        board: The emulated machine.
        cpu: What it pretends to be.
        folder: For the packed file and the log.
        arguments: Of the board's command.
    """

    def __init__(
        self, board: EmulatedBoard, cpu: str, folder: Path, arguments: Sequence[str]
    ) -> None:
        self._packed = folder / "board.pyz"
        pack(self._packed)
        self._command = board.command([str(self._packed), *arguments])
        self._environment = {**board.environment(cpu), "TMPDIR": str(folder)}
        # The two packages come from the packed file alone, as on a board.
        self.log = folder / f"board-{cpu}.log"
        self._stopping = False
        self._running: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.starts = 0

    def __enter__(self) -> "RpcBoard":
        self._thread.start()
        self.wait_until_listening(1)
        return self

    def __exit__(self, *reason: object) -> None:
        self._stopping = True
        if self._running is not None:
            self._end(self._running)
        self._thread.join(timeout=20)

    def wait_until_listening(self, times: int) -> None:
        """Wait until the agent has said so often that it listens."""
        deadline = time.monotonic() + _LISTENING_LIMIT_S
        while time.monotonic() < deadline:
            if self.log.exists() and self.log.read_text().count("listening on") >= times:
                return
            time.sleep(0.1)
        raise TimeoutError(f"the board does not listen: {self.log.read_text()[-2000:]}")

    def _keep(self) -> None:
        with self.log.open("wb") as log:
            while not self._stopping:
                self.starts += 1
                self._running = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                self._running.wait()
                self._end(self._running)
                time.sleep(_PAUSE_S)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """End the agent and the session that it may have forked."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def cross_tools(board: EmulatedBoard, folder: Path) -> Path:
    """Return a folder for PATH with the board's cross binutils as commands."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("as", "ld"):
        command = " ".join(f"'{word}'" for word in board.host_tool(f"aarch64-linux-gnu-{name}"))
        script = folder / f"aarch64-linux-gnu-{name}"
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder
