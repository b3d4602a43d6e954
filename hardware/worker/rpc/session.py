"""BoardSession: one connection with a board, inside a process that can be killed."""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hardware.board import names
from hardware.errors import (
    BoardLostError,
    BuildError,
    HardwareLostError,
    UnbelievableError,
)
from hardware.facts import MachineFacts, MomentFacts, OpenedSession
from hardware.worker.rpc.address import Address
from hardware.worker.rpc.tracker import open_connection
from quant.records.strict_json import parse_json

T = TypeVar("T")

_numbers = itertools.count()
"""A second upload under one name would end the server: every name is used once."""


class BoardSession:
    """Calls the functions of `hardware.board.names`. Not safe for two threads."""

    def __init__(self, address: Address, limit_s: int, threads: int = 1) -> None:
        """Connect.

        Args:
            address: Of the board.
            limit_s: The board ends the session when it hears nothing for so long.
            threads: Of TVM's pool on the board.

        Raises:
            BoardBusyError: all boards are in use.
            BoardLostError: the board does not answer.
            HardwareLostError: it has no agent of BitAlloc's, or one of another version.
        """
        self._address = address
        self._limit_s = limit_s
        self._remote = open_connection(address)
        try:
            opened = self._remote.get_function(names.OPEN)
        except AttributeError:
            raise HardwareLostError(
                f"{address} serves TVM RPC but not BitAlloc's functions",
                "start it with: python -m hardware.board, or with the packed file",
            ) from None
        self.opened: OpenedSession = _document(str(self._guard(lambda: opened(limit_s))), address)
        """`pid` and `name` of the session and the board, and `last_end` of the session before."""
        self.facts: MachineFacts = self._json(names.FACTS)
        """What the board is."""
        if self.facts.get("agent") != names.AGENT_VERSION:
            raise HardwareLostError(
                f"expected version {names.AGENT_VERSION} of the agent on {address}, found "
                f"{self.facts.get('agent')}",
                "copy it again: python -m hardware.board --pack FILE.pyz",
            )
        if threads > 1:
            self._call("runtime.config_threadpool", 1, threads)

    @property
    def name(self) -> str:
        """What the board is called, for sentences."""
        return f"board {self.opened.get('name')} at {self._address}"

    def rearm(self) -> None:
        """Tell the board that this host is alive, and will be heard of again within the limit."""
        self._call(names.REARM, self._limit_s)

    def moment(self) -> MomentFacts:
        """Return the board's load, clock, temperature and throttling now."""
        found: MomentFacts = self._json(names.MOMENT)
        return found

    def upload(self, file: Path, ending: str) -> str:
        """Copy a file to the board and return its name there."""
        name = f"{next(_numbers)}{ending}"
        data = bytearray(file.read_bytes())
        self._guard(lambda: self._remote.upload(data, target=name))
        return name

    def load(self, library: Path) -> str:
        """Copy a linked program to the board, load it, and return its name there."""
        self.rearm()
        name = self.upload(library, ".so")
        self._call(names.LOAD, name)
        return name

    def unload(self, name: str) -> None:
        """Let the board forget a program."""
        self._call(names.UNLOAD, name)

    def run(self, name: str, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run a loaded program once and return its output."""
        self.rearm()
        with tempfile.TemporaryDirectory(prefix="bitalloc-rpc-") as folder:
            file = Path(folder) / "x.npy"
            np.save(file, np.ascontiguousarray(x), allow_pickle=False)
            given = self.upload(file, ".npy")
        return self._array(names.RUN, name, given)

    def value(self, name: str, tensor: str) -> npt.NDArray[Any]:
        """Return a tensor that a loaded program keeps, as its last run left it."""
        return self._array(names.VALUE, name, tensor)

    def time(self, name: str, loops: int, repeats: int) -> Mapping[str, Any]:
        """Time a loaded program; return what the board says (see `TimedRepeats`), unseen."""
        self.rearm()
        timed = self._json(names.TIME, name, loops, repeats)
        return timed if isinstance(timed, dict) else {}

    def stamps(self, name: str, executions: int) -> npt.NDArray[np.int64]:
        """Run a loaded program with stamps; int64 `[executions, stamps, 2]`."""
        self.rearm()
        return self._array(names.STAMP, name, executions)

    def call_json(self, function: str, *arguments: Any) -> Any:
        """Call another function of the board that answers with JSON, such as those of a meter."""
        self.rearm()
        return self._json(function, *arguments)

    def _array(self, function: str, *arguments: Any) -> npt.NDArray[Any]:
        """Call a function whose last argument is the .npy file that it writes."""
        result = f"{next(_numbers)}.npy"
        self._call(function, *arguments, result)
        data = bytes(self._guard(lambda: self._remote.download(result)))
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            array: npt.NDArray[Any] = np.load(file, allow_pickle=False)
        return array

    def _json(self, function: str, *arguments: Any) -> Any:
        return _document(str(self._call(function, *arguments)), self._address)

    def _call(self, function: str, *arguments: Any) -> Any:
        return self._guard(lambda: self._remote.get_function(function)(*arguments))

    def _guard(self, call: Callable[[], T]) -> T:
        """Tell a function that raised on the board from a session that ended.

        Raises:
            BuildError: the board's function raised.
            BoardLostError: the session is gone.
        """
        try:
            return call()
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            text = _last_line(error)
            try:
                self._remote.get_function(names.REARM)(self._limit_s)
            except (RuntimeError, OSError):
                raise BoardLostError(f"the session with {self._address} ended: {text}") from None
            raise BuildError(f"on the board: {text}") from None


def _document(text: str, address: Address) -> Any:
    """Return what a board answered in JSON.

    Raises:
        UnbelievableError: it is none, or holds a number that is none.
    """
    try:
        return parse_json(text)
    except ValueError as error:
        raise UnbelievableError(
            f"expected numbers and texts from {address}, found {error}",
            "is it BitAlloc's own agent, of this version? python -m hardware.board --pack FILE.pyz",
        ) from None


def _last_line(error: Exception) -> str:
    """Return the line of TVM's long texts that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
