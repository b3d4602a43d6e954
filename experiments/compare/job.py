"""One job of a comparison: a search in a folder of its own, and what its answer comes to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from env.decisions.budget import Budget
from env.evaluating.training_pool import Pool
from experiments.compare.answer import FinalScores, answer_of, beside, first_inside
from experiments.compare.plan import Job
from experiments.compare.rows import Row
from experiments.compare.shared import SharedTimes
from experiments.record.run_folder import RunFolder
from experiments.stages.event_log import EventLog
from experiments.stages.measured import Measured
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.places import Places
from experiments.stages.resource_budget import ALL_8, DecidedBudget
from experiments.stages.resume import read_evaluations
from experiments.stages.search import Searched, search
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """Where jobs are done."""

    folder: Path
    """Has a folder for each job."""
    device: Device
    store: Store
    progress: LiveProgress
    """The comparison's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What the jobs of one seed search for."""

    setup: NetworkSetup
    times: SharedTimes
    pool: Pool | None = None
    """Who retrains candidates; None: this process."""


def run_job(job: Job, finished: Sequence[Row], subject: Subject, place: Workplace) -> Row:
    """Search, time and retrain the answer; a job that was stopped goes on where it was.

    Args:
        job: Method, seed and budget.
        finished: Rows of other jobs; the answer is paired with theirs to its seed and budget.
        subject: Network and measured times of the job's seed.
        place: Device, store, folders and the comparison's progress.

    Raises:
        BitAllocError: the search cannot go on.
        HardwareLostError: the device is gone.
    """
    decided = _budget_of(job, subject.times)
    setup = replace(subject.setup, config=replace(subject.setup.config, method=job.method))
    searched = _search(job, setup, decided, subject, place)
    candidates, used = searched.result.candidates, searched.used
    error, answer, differences = "", None, {}
    timed = first_inside(candidates, decided, setup, place.device)
    if timed is not None:
        final = FinalScores(setup, place.store)
        answer = answer_of(timed, final)
        others = {
            row.method: row.answer
            for row in finished
            if (row.seed, row.budget) == (job.seed, job.budget) and row.answer is not None
        }
        differences = beside(answer, others, final)
    elif not candidates:
        error = "the search found no allocation inside the budget"
    else:
        error = "no candidate was inside the budget when timed again"
    limit_ms = decided.budget.latency_ms
    assert limit_ms is not None
    return Row(
        **asdict(job),
        budget_ms=limit_ms,
        answer=answer,
        beside=differences,
        error=error,
        **asdict(used),
    )


def _budget_of(job: Job, times: SharedTimes) -> DecidedBudget:
    """Return a job's limit, which moves with all-8 where the machine has changed its speed."""
    limit_ms = times.budget_ms(job.budget)
    return DecidedBudget(
        budget=Budget(latency_ms=limit_ms),
        reason=f"{100 * job.budget:g} % of the way to all-8",
        latency_shares={ALL_8: limit_ms / times.uniform[ALL_8].latency_ms},
    )


def _search(
    job: Job, setup: NetworkSetup, decided: DecidedBudget, subject: Subject, place: Workplace
) -> Searched:
    path = place.folder / job.name
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    measured = Measured(table=subject.times.table, decided=decided)
    with folder.log(), EventLog(folder.events) as events:
        places = Places(
            device=place.device,
            store=place.store,
            folder=folder,
            events=events,
            progress=LiveProgress(quiet=True),
            shared_progress=place.progress,
        )
        return search(setup, measured, places, read_evaluations(path), subject.pool)
