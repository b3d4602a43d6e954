"""Commands in this process, watched: how they end, what they say, what is executed meanwhile."""

import contextlib
import io
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, USER_MISTAKE

LIMIT_S = 5.0
_ROOM_BYTES = 3 << 30
"""Memory that a case may take beside what this process has."""
_STARTED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "ctypes.dlopen",
)
_FILES = {"exec": 0, "compile": 1, "import": 1}
"""Events of executed code, and where they name a file."""


class _HungError(BaseException):
    """Raised in a command that takes too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How a command ended."""

    code: int | None
    """None where it was a traceback."""
    out: str
    err: str
    trace: str
    hung: bool
    executed: tuple[str, ...]
    """Code of the folder's, pickles' classes and processes."""
    took_s: float


class _Watch:
    """An audit hook, which nothing takes away again, and what it has seen."""

    folder = ""
    seen: list[str] = []  # noqa: RUF012  # one for the process
    installed = False


def ask(command: Callable[[], int], folder: Path, limit_s: float = LIMIT_S) -> Answer:
    """Run a command of `main`'s kind and watch it.

    Args:
        command: Returns an exit code.
        folder: Nothing in it may be executed.
        limit_s: From which on it counts as hung.
    """
    _install()
    out, err, code, trace, hung = io.StringIO(), io.StringIO(), None, "", False
    before = signal.signal(signal.SIGALRM, _stop)
    _Watch.folder, _Watch.seen = str(folder), []
    started = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command()
    except _HungError:
        hung = True
    except SystemExit as end:
        trace = f"SystemExit {end.code}"
    except BaseException:
        trace = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _Watch.folder = ""
    took_s = time.monotonic() - started
    return Answer(
        code=code,
        out=out.getvalue(),
        err=err.getvalue(),
        trace=trace,
        hung=hung or took_s > limit_s,
        executed=tuple(_Watch.seen),
        took_s=took_s,
    )


def check(answer: Answer, *named: str) -> None:
    """Refuse an answer that no command may give.

    Args:
        answer: Of a command on something harmed.
        named: What a refusal must name, one of them.
    """
    assert not answer.trace, answer.trace
    assert not answer.hung, answer
    assert not answer.executed, answer.executed
    assert "Traceback" not in answer.err, answer.err
    assert answer.code in (DONE, USER_MISTAKE, HARDWARE_LOST), answer
    if answer.code == DONE:
        return
    first, *others = [line for line in answer.err.splitlines() if line.strip()]
    assert first.startswith("error: "), answer.err
    assert len(others) <= 1, answer.err
    assert all(line.startswith("hint: ") for line in others), answer.err
    assert max(map(len, (first, *others))) < 1500, answer.err
    assert any(name in first for name in named), (first, named)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Give this process a limit: a file without end ends in MemoryError, a traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _stop(number: int, frame: FrameType | None) -> None:
    raise _HungError


def _install() -> None:
    if not _Watch.installed:
        _Watch.installed = True
        sys.addaudithook(_look)


def _is_ours(event: str, given: tuple[Any, ...]) -> bool:
    """Return whether a process is our own worker's, or git that is asked for this version."""
    program = tuple(map(str, given[1])) if event == "subprocess.Popen" else ()
    return program[:1] == ("git",) or program[:4] == (sys.executable, "-P", "-m", "hardware.worker")


def _look(event: str, given: tuple[Any, ...]) -> None:
    if not _Watch.folder:
        return
    if event in _STARTED and not _is_ours(event, given):
        _Watch.seen.append(f"{event} {given}"[:200])
    elif event in _FILES:
        named = given[0].co_filename if event == "exec" else given[_FILES[event]]
        if str(named).startswith(_Watch.folder):
            _Watch.seen.append(f"{event} {named}")
