"""Outcome: what the end of a job's process means for the job."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.service.store.job import Fault, Job, State
from experiments.service.work.admission import THIS_MACHINE
from experiments.service.work.keeper import MEMORY, TIME, Ended
from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, INTERRUPTED, USER_MISTAKE

MOST_CRASHES = 3
"""Ends in a row that nobody meant, with nothing new done between them."""
MOST_LOSSES = 8
"""Losses of a board in a row, with nothing new done between them."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 15.0, 900.0
_AFTER_CRASH_S = 2.0
_TAIL_BYTES = 1 << 14
_GIGA = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Where a job goes from here."""

    state: State
    reason: str = ""
    hint: str = ""
    fault: Fault = Fault.NONE
    crashes: int = 0
    losses: int = 0
    wait_s: float = 0.0
    """How long it is left alone before it is started again."""


def judge(job: Job, ended: Ended | None, log: Path) -> Outcome:
    """Return what follows from how a job's process ended.

    Args:
        job: As it was then.
        ended: What its keeper wrote; None where that was killed.
        log: What the process printed.
    """
    if job.cancelled:
        return Outcome(state=State.CANCELLED, reason="cancelled while it ran")
    if ended is None:
        return _crashed(job, "its keeper was killed")
    if ended.why == TIME:
        return _beyond(f"it ran longer than its {job.wall_s:,.0f} s")
    if ended.why == MEMORY:
        limit = f"{job.memory_bytes / _GIGA:.1f} GB"
        return _beyond(f"it took more resident memory than its {limit}")
    if ended.exit_code == DONE:
        return Outcome(state=State.SUCCEEDED)
    if ended.why:
        return Outcome(state=State.QUEUED, reason="the server was stopped; it goes on where it was")
    said, hint = last_sentence(_tail(log))
    if ended.exit_code == USER_MISTAKE:
        return Outcome(state=State.FAILED, reason=said, hint=hint, fault=Fault.USER)
    if ended.exit_code == HARDWARE_LOST:
        return _lost_board(job, said, hint)
    if ended.exit_code == INTERRUPTED:
        return _crashed(job, "its process was interrupted")
    if ended.exit_code < 0:
        return _crashed(job, f"its process was ended by {_signal(-ended.exit_code)}")
    return Outcome(
        state=State.FAILED,
        reason=f"a defect of BitAlloc ended it: {_last_line(log)}",
        hint="its log has the whole traceback: please report it",
        fault=Fault.SERVICE,
    )


def _beyond(reason: str) -> Outcome:
    hint = "ask for less, or the operator for more"
    return Outcome(state=State.FAILED, reason=reason, hint=hint, fault=Fault.USER)


def _crashed(job: Job, how: str) -> Outcome:
    crashes = job.crashes + 1
    if crashes < MOST_CRASHES:
        again = f"{how}; it goes on where it was"
        return Outcome(
            state=State.QUEUED,
            reason=again,
            crashes=crashes,
            losses=job.losses,
            wait_s=_AFTER_CRASH_S * crashes,
        )
    return Outcome(
        state=State.LOST,
        reason=f"{how}, the {crashes}rd time with nothing new done",
        hint="its log may say why; hand it in again",
        fault=Fault.SERVICE,
        crashes=crashes,
    )


def _lost_board(job: Job, said: str, hint: str) -> Outcome:
    losses = job.losses + 1
    if losses >= MOST_LOSSES:
        return Outcome(
            state=State.LOST, reason=said, hint=hint, fault=Fault.HARDWARE, losses=losses
        )
    state = State.QUEUED if job.target == THIS_MACHINE else State.WAITING_FOR_BOARD
    wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (losses - 1))
    return Outcome(
        state=state,
        reason=f"{said}; tried again in {wait_s:.0f} s",
        hint=hint,
        fault=Fault.HARDWARE,
        crashes=job.crashes,
        losses=losses,
        wait_s=wait_s,
    )


def last_sentence(printed: Sequence[str]) -> tuple[str, str]:
    """Return the last sentence of a command that refused, and its hint."""
    said, hint = "it was refused without a sentence", ""
    for line in printed:
        if line.startswith("error: "):
            said, hint = line.removeprefix("error: "), ""
        elif line.startswith("hint: "):
            hint = line.removeprefix("hint: ")
    return said, hint


def _last_line(log: Path) -> str:
    return next((line for line in reversed(_tail(log)) if line.strip()), "it said nothing")


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
