"""Searched: what finished searches know of the layers on their target, for networks like them."""

import threading
from collections import OrderedDict

from agents.judging.beliefs import Beliefs
from experiments.record.run_record import RunRecord
from experiments.service.folder import ServiceFolder
from experiments.service.store.job import Job, State
from experiments.service.store.jobs import Jobs
from experiments.service.work.command_lines import run_of
from quant.errors import BitAllocError

_MOST = 50
"""Newest searches that are asked, and beliefs that are kept."""


class Searched:
    """Reads the beliefs of each search once."""

    def __init__(self, jobs: Jobs, folder: ServiceFolder) -> None:
        """Use the jobs of a service."""
        self._jobs, self._folder = jobs, folder
        self._known: OrderedDict[int, Beliefs | None] = OrderedDict()
        self._lock = threading.Lock()

    def on(self, target: str, user: str | None) -> list[Beliefs]:
        """Return the beliefs of a user's newest searches on a target; everybody's for None."""
        jobs = [
            job
            for job in self._jobs.newest_of(user, 4 * _MOST)
            if (job.kind, job.target, job.state) == ("search", target, State.SUCCEEDED)
            and not job.simulated
        ]
        with self._lock:
            found = [self._of(job) for job in jobs[:_MOST]]
        return [beliefs for beliefs in found if beliefs is not None]

    def of(self, job: Job) -> Beliefs | None:
        """Return what a search that is over believes; None where it says nothing."""
        with self._lock:
            return self._of(job)

    def _of(self, job: Job) -> Beliefs | None:
        if job.number not in self._known:
            try:
                self._known[job.number] = RunRecord(run_of(job, self._folder)).beliefs
            except BitAllocError:  # its own page says more
                self._known[job.number] = None
            if len(self._known) > 2 * _MOST:
                self._known.popitem(last=False)
        return self._known[job.number]
