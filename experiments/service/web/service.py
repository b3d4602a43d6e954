"""Service: everything behind the HTTP side, opened and closed as one."""

import fcntl
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from experiments.errors import RunFolderError, cannot_write
from experiments.service.errors import NoJobError, NotNowError
from experiments.service.folder import ServiceFolder
from experiments.service.settings import ServiceSettings
from experiments.service.store.database import Database
from experiments.service.store.job import Job, State
from experiments.service.store.jobs import Jobs
from experiments.service.store.tokens import Tokens
from experiments.service.store.uploads import KINDS, Uploads
from experiments.service.web.streams import Streams
from experiments.service.web.tensorboard import tensorboard_beside
from experiments.service.web.turns import Turns
from experiments.service.work.admission import UPLOADED, Admission
from experiments.service.work.boards import Boards
from experiments.service.work.networks import Networks
from experiments.service.work.searched import Searched
from experiments.service.work.supervisor import Supervisor, Workshop
from quant.records.disk import remove_leftovers
from quant.records.json_form import json_text

_logger = logging.getLogger(__name__)
_SWEEP_S = 600.0
_ANSWERS, _READINGS = 8, 4
"""Of the forty threads that answer requests."""
_OVER = tuple(state for state in State if state.over)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What requests are answered with."""

    settings: ServiceSettings
    folder: ServiceFolder
    database: Database
    jobs: Jobs
    tokens: Tokens
    uploads: Uploads
    boards: Boards
    admission: Admission
    supervisor: Supervisor
    streams: Streams
    networks: Networks
    searched: Searched
    answers: Turns = field(default_factory=lambda: Turns(_ANSWERS))
    """Of policies and integer programs, which keep a core busy."""
    readings: Turns = field(default_factory=lambda: Turns(_READINGS))
    """Of uploaded networks, which take seconds, and of hostile ones more."""
    tensorboard: str = ""
    """Address of the TensorBoard beside it; empty for none."""

    def forget(self, job: Job, by: str) -> None:
        """Delete a job that is over, with its files.

        Raises:
            NotNowError: it is not over, or another one needs it.
        """
        place = self.folder.job(job.id).path
        gone = place.with_name(f".gone-{secrets.token_hex(8)}")

        def put_away() -> None:
            with suppress(FileNotFoundError):
                place.rename(gone)

        self.jobs.delete(job, put_away)
        self.tokens.log(by, "job deleted", job.id)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what is kept no longer: uploads, jobs, and folders of jobs that are gone."""
        limits = self.settings.limits
        if limits.jobs_kept_s:
            before_s = time.time() - limits.jobs_kept_s
            for job in self.jobs.find(states=_OVER):
                if job.ended_s is not None and job.ended_s < before_s and not self.jobs.of(job.id):
                    with suppress(NoJobError, NotNowError):  # somebody was quicker
                        self.forget(job, "service")
        # Before the jobs: each was in the store before it had a folder.
        folders = list((self.folder.path / "jobs").iterdir())
        jobs = self.jobs.find()
        unfinished = [job for job in jobs if not job.state.over]
        worked_on = {job.of for job in unfinished}
        needed = {
            digest
            for job in (*unfinished, *(job for job in jobs if job.id in worked_on))
            for digest in UPLOADED.findall(json_text(job.request))
        }
        self.uploads.forget_old(needed)
        for kind in KINDS:
            remove_leftovers(self.folder.uploads(kind), ".part-*")
        known = {job.id for job in jobs}
        for folder in folders:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_service(settings: ServiceSettings, groups: Path | None = None) -> Iterator[Service]:
    """Open a folder's service, with its supervisor at work; what runs at the end is stopped.

    Args:
        settings: What the operator decides.
        groups: Control group below which each job gets its own; None where none can be made.

    Raises:
        RunFolderError: another server uses the folder, or it cannot be written.
        ServiceStoreError: the store cannot be used.
    """
    folder = ServiceFolder(settings.folder)
    with _the_one_server(folder):
        for place in (folder.path / "jobs", *map(folder.uploads, KINDS)):
            place.mkdir(exist_ok=True)
        beside = (
            tensorboard_beside(folder.path / "jobs") if settings.tensorboard else nullcontext("")
        )
        with Database(folder.database) as database, beside as tensorboard:
            streams = Streams(settings.limits.streams)
            jobs = Jobs(database, streams.heard)
            tokens, boards = Tokens(database), Boards(settings.allowed.tracker)
            uploads = Uploads(database, folder, settings.limits.uploads_kept_s)
            admission = Admission(
                allowed=settings.allowed, limits=settings.limits, uploaded=uploads.seen_from_job
            )
            supervisor = Supervisor(
                Workshop(
                    settings=settings,
                    jobs=jobs,
                    admission=admission,
                    boards=boards,
                    operators=tokens.operators,
                    groups=groups,
                )
            )
            service = Service(
                settings=settings,
                folder=folder,
                database=database,
                jobs=jobs,
                tokens=tokens,
                uploads=uploads,
                boards=boards,
                admission=admission,
                supervisor=supervisor,
                streams=streams,
                networks=Networks(uploads, settings.limits.memory_bytes),
                searched=Searched(jobs, folder),
                tensorboard=tensorboard,
            )
            supervisor.start()
            ending = threading.Event()
            sweeper = threading.Thread(target=_sweep, args=(service, ending), daemon=True)
            sweeper.start()
            try:
                yield service
            finally:
                ending.set()
                sweeper.join()
                supervisor.stop()


def _sweep(service: Service, ending: threading.Event) -> None:
    while True:
        try:
            service.sweep()
        except Exception:  # a full disk, say: the next time may go well
            _logger.exception("the sweep stumbled")
        if ending.wait(_SWEEP_S):
            return


@contextmanager
def _the_one_server(folder: ServiceFolder) -> Iterator[None]:
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder.lock.open("a", encoding="utf-8")
    except OSError as error:
        raise cannot_write(Path(folder.lock), error, "--folder FOLDER") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFolderError(
                f"another server uses the folder {folder.path}", "stop it, or give --folder FOLDER"
            ) from None
        yield
