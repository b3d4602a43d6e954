"""Supervisor: starts the jobs whose turn it is, watches them, and goes on after any end."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.service.errors import NoJobError, NotNowError
from experiments.service.folder import ServiceFolder
from experiments.service.settings import ServiceSettings
from experiments.service.store.counters import count
from experiments.service.store.job import WAITING, Fault, Job, State
from experiments.service.store.jobs import Jobs
from experiments.service.work import kept
from experiments.service.work.admission import NO_BOARDS, THIS_MACHINE, Admission
from experiments.service.work.boards import Boards
from experiments.service.work.command_lines import prepare, run_of, shown
from experiments.service.work.fair import next_job
from experiments.service.work.health import health_of
from experiments.service.work.isolation import can_leave_network
from experiments.service.work.keeper import GRACE_S, Ended, Order
from experiments.service.work.memory_group import group_of_job
from experiments.service.work.outcome import Outcome, judge
from experiments.service.work.progress import count_evaluations, read_new, summary
from quant.errors import BitAllocError

_logger = logging.getLogger(__name__)
_TICK_S = 0.2
_LEAST_S = 1.0
"""Of the time that a job has left, however often it was started."""
_OURS = "another job of this service has the board"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """What a supervisor works with."""

    settings: ServiceSettings
    jobs: Jobs
    admission: Admission
    boards: Boards
    operators: Callable[[], Collection[str]]
    """Returns the users whose jobs nobody counts."""
    groups: Path | None = None
    """Control group below which each job gets its own; None where none can be made."""


class Supervisor(threading.Thread):
    """Does jobs until it is stopped; what runs when the server is killed runs on, and is found."""

    def __init__(self, workshop: Workshop) -> None:
        """Use what there is; `start` begins."""
        super().__init__(name="supervisor", daemon=True)
        self._shop = workshop
        self._folder = ServiceFolder(workshop.settings.folder)
        self._jobs = workshop.jobs
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._mine: set[tuple[int, int]] = set()
        self.last_look_s = time.monotonic()
        """When it was last seen alive."""

    def run(self) -> None:
        """Look at everything again and again."""
        while not self._stopping.is_set():
            try:
                self.look()
                self._start_free()
            except Exception:  # a full disk, say: the next look may go well
                _logger.exception("the supervisor stumbled")
            self.last_look_s = time.monotonic()
            self._woken.wait(_TICK_S)
            self._woken.clear()

    def wake(self) -> None:
        """Look now: something was handed in, or is to end."""
        self._woken.set()

    def stop(self) -> None:
        """End what runs, so that it goes on where it is at the next start, and end."""
        self._stopping.set()
        self.wake()
        if self.is_alive():
            self.join()
        until_s = time.monotonic() + 2 * GRACE_S
        while running := self._jobs.find(states=[State.RUNNING]):
            for job in running:
                kept.ask_to_end(self._folder.job(job.id))
            self.look()
            if time.monotonic() > until_s:
                break
            time.sleep(_TICK_S)

    def look(self) -> None:
        """See what became of every job that runs."""
        for job in self._jobs.find(states=[State.RUNNING]):
            try:
                self._look_at(job)
            except (NoJobError, NotNowError):
                continue  # somebody was quicker

    def _look_at(self, job: Job) -> None:
        folder = self._folder.job(job.id)
        at_work = kept.is_at_work(folder)  # before reading: what it wrote last is read, too
        job = self._read_progress(job)
        if at_work:
            if job.cancelled:
                kept.ask_to_end(folder)
            return
        ended = kept.ended(folder)
        if ended is not None and ended.attempt == job.attempts:
            self._finish(job, ended)
        elif kept.has_begun(folder, job.attempts) or (job.number, job.attempts) in self._mine:
            self._finish(job, None)
        else:  # this server's predecessor was killed before it could start it
            self._move(job, Outcome(state=State.QUEUED, reason=job.reason), 0.0)

    def _read_progress(self, job: Job) -> Job:
        if job.kind != "search":
            return job
        found, read_bytes = read_new(run_of(job, self._folder), job.read_bytes)
        if not found:
            return job
        return self._jobs.change(
            job,
            events=[("evaluation", summary(evaluation)) for evaluation in found],
            counted=lambda connection: count_evaluations(connection, found),
            read_bytes=read_bytes,
            done=job.done + len(found),
            crashes=0,
            losses=0,
        )

    def _finish(self, job: Job, ended: Ended | None) -> None:
        folder = self._folder.job(job.id)
        outcome = judge(job, ended, folder.log)
        seconds = kept.seconds_since_start(folder) if ended is None else ended.seconds
        self._move(job, outcome, seconds)
        _logger.info(
            "job ended",
            extra={
                "job": job.id,
                "user": job.user,
                "state": outcome.state,
                "reason": outcome.reason,
                "seconds": round(seconds, 3),
                "peak_bytes": 0 if ended is None else ended.peak_bytes,
            },
        )

    def _move(self, job: Job, outcome: Outcome, seconds: float) -> None:
        folder = self._folder.job(job.id)
        health = job.health
        if outcome.state is State.SUCCEEDED:
            health = health_of(job.kind, folder, run_of(job, self._folder))
        self._jobs.change(
            job,
            outcome.state,
            only_from=[State.RUNNING],
            counted=lambda connection: count(
                connection, "target_busy_seconds", {"target": job.target}, seconds
            ),
            reason=outcome.reason,
            hint=outcome.hint,
            fault=outcome.fault,
            health=health,
            crashes=outcome.crashes,
            losses=outcome.losses,
            used_s=job.used_s + seconds,
            not_before_s=time.time() + outcome.wait_s,
        )

    def _start_free(self) -> None:
        """Start a job on each target that is free."""
        waiting = list(self._without_cancelled(self._jobs.find(states=WAITING)))
        if not waiting:
            return
        running = self._jobs.find(states=[State.RUNNING])
        busy = {job.target for job in running}
        now = time.time()
        ready: dict[str, list[Job]] = {}
        for job in waiting:
            if job.not_before_s <= now and self._parent_allows(job):
                ready.setdefault(job.target, []).append(job)
        for target, jobs in ready.items():
            if self._stopping.is_set() or (target in busy and target in NO_BOARDS):
                continue
            chosen = next_job(jobs, running, self._jobs.last_starts(), self._most_running(jobs))
            if chosen is None:
                continue
            if target in busy:
                self._wait(chosen, jobs, _OURS, Fault.NONE)
            elif why_not := self._why_no_board(target):
                self._wait(chosen, jobs, why_not, Fault.HARDWARE)
            elif (started := self._start(chosen)) is not None:
                running.append(started)

    def _without_cancelled(self, waiting: Iterable[Job]) -> Iterator[Job]:
        """Yield the jobs whose end nobody asked for; one may have been asked for as it ran."""
        for job in waiting:
            if job.cancelled:
                self._try_change(job, State.CANCELLED, reason="cancelled while it ran", hint="")
            else:
                yield job

    def _most_running(self, jobs: Iterable[Job]) -> Mapping[str, int]:
        most = self._shop.settings.limits.quotas.running
        unlimited = self._shop.operators()
        return {job.user: most for job in jobs if job.user not in unlimited}

    def _why_no_board(self, target: str) -> str:
        return "" if target in NO_BOARDS else self._shop.boards.why_not(target)

    def _wait(self, chosen: Job, jobs: Iterable[Job], why: str, fault: Fault) -> None:
        """Say why the job whose turn it is waits for its board, and why those do that did so."""
        for job in jobs:
            waits = job.state is State.WAITING_FOR_BOARD
            if (waits or job is chosen) and not (waits and job.reason == why):
                self._try_change(job, State.WAITING_FOR_BOARD, reason=why, hint="", fault=fault)

    def _parent_allows(self, job: Job) -> bool:
        """Return whether the run that a job needs is there; end the job where it never will be."""
        if not job.of:
            return True
        try:
            parent = self._jobs.get(job.of)
        except NoJobError:
            state = "deleted"
        else:
            if parent.state is State.SUCCEEDED:
                return True
            if not parent.state.over:
                return False
            state = str(parent.state)
        why = f"the search {job.of}, which it works on, is {state}"
        self._try_change(job, State.FAILED, reason=why, fault=Fault.USER)
        return False

    def _start(self, job: Job) -> Job | None:
        """Start a job's process; None where it could not be."""
        folder = self._folder.job(job.id)
        try:
            words = prepare(job, self._folder, self._shop.admission)
        except BitAllocError as error:
            self._try_change(
                job, State.FAILED, reason=error.message, hint=error.hint, fault=Fault.USER
            )
            return None
        started_s = job.started_s or time.time()
        changed = self._try_change(
            job,
            State.RUNNING,
            attempts=job.attempts + 1,
            started_s=started_s,
            reason="",
            hint="",
            fault=Fault.NONE,
        )
        if changed is None:
            return None
        order = Order(
            attempt=changed.attempts,
            arguments=words,
            wall_s=max(_LEAST_S, job.wall_s - job.used_s),
            memory_bytes=job.memory_bytes,
            network=self._has_network(job),
            group=""
            if (groups := self._shop.groups) is None
            else str(group_of_job(groups, job.id)),
        )
        self._mine.add((job.number, changed.attempts))
        kept.start(folder, order, self._shop.settings.allowed.modules)
        _logger.info(
            "job started", extra={"job": job.id, "user": job.user, "command": shown(words)}
        )
        return changed

    def _has_network(self, job: Job) -> bool:
        """Return whether a job has a network: it reaches its board, or the operator allows it."""
        allowed = self._shop.settings.allowed.network
        return allowed or job.target != THIS_MACHINE or not can_leave_network()

    def _try_change(self, job: Job, state: State, **values: Any) -> Job | None:
        """Change a job that waits; None where it does not wait any more."""
        try:
            return self._jobs.change(job, state, only_from=WAITING, **values)
        except (NoJobError, NotNowError):
            return None
