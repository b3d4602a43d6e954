"""Lane: one board at a time, reached through a process that can be killed.

Every remote call runs in the worker process under a wall-clock limit that is enforced here. When a
session ends in the middle of a call, the lane reaches for a board again, whose reference kernel
must run: only then is it the candidate that failed.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hardware.errors import BoardBusyError, BoardLostError, BuildError, HardwareLostError
from hardware.facts import Connected, MachineFacts, SessionEnd
from hardware.host.worker_bench import Call
from hardware.host.worker_client import WorkerClient, WorkerLostError
from hardware.measuring.busy import busy_limit_s
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_CONNECT_LIMIT_S = 45.0
"""Limit for connecting, compiling and running the reference kernel; an emulated board takes 5 s."""
_ANSWER_S = 10.0
"""A board that is there answers within it, an emulated one too."""
_WATCHDOG_S = 5.0
"""A board waits so much longer than this side before it ends a session that hears nothing."""
_ATTEMPTS = 2
"""A lost session may be the board's fault: the candidate gets a second chance, not a third."""
_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.1, 15.0
_MOMENT_S = 3.0
_CRASHES = ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
"""Signals that a program brings upon itself; others come from outside."""
_OWN = ("id", "hostname", "meters")
"""Facts that tell boards of one kind apart, and those that change no time."""


class Lane:
    """Has a session with a board from `use` to the end of its block. Not safe for two threads."""

    def __init__(
        self,
        config: TargetConfig,
        protocol: ProtocolConfig,
        expected: Callable[[MachineFacts], str] = lambda facts: "",
        *,
        energy_s: float = 0.0,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep how to reach a board; nothing is started yet.

        Args:
            config: The target.
            protocol: Gives the limit of one candidate.
            expected: Returns why a board of these facts must not be used, or nothing.
            energy_s: How much longer than a candidate's limit an energy window may take.
            sleep: Waits, for tests; None waits until `close`.
            clock: Seconds, for tests.
        """
        self._closing = threading.Event()
        self._config = config
        self._timeout_s = self._limit_s = protocol.timeout_s
        self._energy_s = energy_s
        self._worker = WorkerClient(config, protocol.batch)
        self._expected = expected
        self._sleep, self._clock = sleep or self._closing.wait, clock
        self._session_pid = 0
        self._checked_pid = 0
        self.board: MachineFacts = {}
        """Facts of the board that the last session was with, its name among them."""

    @property
    def worker_facts(self) -> MachineFacts:
        """What the worker told about its target and its compiler."""
        return self._worker.facts

    def use(self, work: Callable[[Call], T]) -> T:
        """Do some work with a board, from a session to its release; twice if a session ends.

        Raises:
            BuildError: the candidate is wrong, or ends sessions of a board that is well.
            HardwareLostError: no board answers.
        """
        try:
            return self.hold(work)
        finally:
            self.release()

    def hold(self, work: Callable[[Call], T]) -> T:
        """Do the same and keep the session open for the next work.

        Raises:
            BuildError: see `use`.
            HardwareLostError: see `use`.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            self._reach()
            try:
                return work(self._call)
            except (BoardLostError, WorkerLostError) as error:
                reason = str(error)
                _logger.warning("session with %s lost: %s", self.board.get("name"), reason)
                pid = self._session_pid
                self._forget()
                end = self._reach()
                if end.get("pid") == pid and end.get("signal") in _CRASHES:
                    raise BuildError(
                        f"ended the board's session with {end['signal']}; the reference kernel "
                        "still runs there"
                    ) from None
        raise BuildError(
            f"{reason}, {_ATTEMPTS} times in a row, on a board that still runs the reference kernel"
        )

    def compute(self, method: str, *arguments: Any) -> Any:
        """Call a method that needs no board, such as `identity`; again if the worker died.

        Raises:
            BuildError: the candidate is wrong, or ends the worker.
            HardwareLostError: no worker can be started.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._call(method, *arguments)
            except WorkerLostError:
                self._forget()
        try:
            return self._call(method, *arguments)
        except WorkerLostError as error:
            self._forget()
            raise BuildError(f"{error}, {_ATTEMPTS} times in a row") from None

    def release(self) -> None:
        """Let others have the board."""
        if self._session_pid:
            self._session_pid = 0
            try:
                self._worker.call("release", limit_s=_CONNECT_LIMIT_S)
            except (WorkerLostError, BuildError):
                self._worker.close()

    def close(self) -> None:
        """End the worker, and with it the session; whoever waits for a board gives up."""
        self._closing.set()
        self._forget()

    def _call(self, method: str, *arguments: Any) -> Any:
        extra_s = self._energy_s if method == "energy" else 0.0
        return self._worker.call(method, *arguments, limit_s=self._limit_s + extra_s)

    def _forget(self) -> None:
        """End the worker: what is left of a lost session must not be used again."""
        self._session_pid = 0
        self._worker.close()

    def _reach(self) -> SessionEnd:
        """Open a session unless one is open; return how the session before it ended.

        Raises:
            HardwareLostError: no board answers, or only boards that must not be used.
        """
        if self._session_pid:
            return {}
        # Each kind of failure is counted by itself: a board is in use for a moment after every
        # session, and one that must not be used would otherwise be tried for ever.
        waited_s = {False: 0.0, True: 0.0}
        since, pause_s = self._clock(), _FIRST_PAUSE_S
        while True:
            if self._closing.is_set():
                raise HardwareLostError("the device was closed")
            try:
                return self._connect()
            except (BoardLostError, WorkerLostError) as error:
                busy = isinstance(error, BoardBusyError)
                now = self._clock()
                waited_s[busy] += now - since
                since = now
                limit_s = self._config.busy_s if busy else self._config.reconnect_s
                if waited_s[busy] >= limit_s:
                    raise _lost(error, waited_s[busy]) from None
                moment = busy and waited_s[busy] < _MOMENT_S
                level = logging.DEBUG if moment else logging.WARNING
                _logger.log(level, "no board yet, trying again in %g s: %s", pause_s, error)
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, _MOST_PAUSE_S)

    def _connect(self) -> SessionEnd:
        self._limit_s = busy_limit_s(self._timeout_s)  # this side compiles, and may be busy
        watchdog_s = self._limit_s + _WATCHDOG_S
        # A port that accepts and says nothing more must not be waited for longer than a board.
        limit_s = min(_CONNECT_LIMIT_S, max(_ANSWER_S, self._config.reconnect_s))
        try:
            found: Connected = self._ask("connect", watchdog_s, limit_s=limit_s)
        except WorkerLostError as error:
            where = self._config.server or self._config.tracker or "the tracker"
            raise BoardLostError(
                f"{where} does not answer as TVM RPC does: {error}", "is it another service's port?"
            ) from None
        opened, facts = found["opened"], found["facts"]
        self._session_pid = opened["pid"]
        end = opened["last_end"]
        self._check_crashed_reference(end)
        if wrong := self._expected(facts):
            self.release()
            raise BoardLostError(wrong)
        self._checked_pid = opened["pid"]
        try:
            self._ask("check_reference")
        except (HardwareLostError, WorkerLostError):
            self._forget()
            raise
        self._checked_pid = 0
        self.board = {**facts, "name": opened["name"]}
        return end

    def _ask(self, method: str, *arguments: Any, limit_s: float = _CONNECT_LIMIT_S) -> Any:
        try:
            return self._worker.call(method, *arguments, limit_s=limit_s)
        except BuildError as error:  # no candidate is there yet
            raise BoardLostError(str(error)) from None

    def _check_crashed_reference(self, end: SessionEnd) -> None:
        """Raise where the session before this one crashed in nothing but the reference kernel."""
        pid, self._checked_pid = self._checked_pid, 0
        if pid and end.get("pid") == pid and end.get("signal") in _CRASHES:
            raise HardwareLostError(
                f"the reference kernel ended the board's session with {end['signal']}: the board "
                f"is not what target.board={self._config.board} says",
                "name the board that it is, or use --target.family generic",
            )


def comparable(facts: MachineFacts) -> MachineFacts:
    """Return the facts that boards must share for their times to be compared."""
    return cast(MachineFacts, {name: value for name, value in facts.items() if name not in _OWN})


def _lost(error: Exception, waited_s: float) -> HardwareLostError:
    hint = error.hint if isinstance(error, BoardLostError) else ""
    message = error.message if isinstance(error, BoardLostError) else str(error)
    return HardwareLostError(
        f"no board after {waited_s:.0f} s: {message}",
        hint or "look at it with: python -m experiments.boards doctor",
    )
