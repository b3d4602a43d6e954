"""One job of a comparison: a search in a folder of its own, and what its answer comes to."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from agents.methods import METHODS
from agents.search import SearchResult
from env.decisions.budget import Budget
from env.errors import BudgetError
from env.evaluating.accounting import Accounting, account, spent_s
from experiments.compare.answer import answer_of, first_inside
from experiments.compare.plan import Job
from experiments.compare.rows import Row
from experiments.compare.shared import SharedTimes
from experiments.record.run_folder import RunFolder
from experiments.record.shared_weights import SharedWeights
from experiments.settings.run_config import RunConfig
from experiments.stages.event_log import EventLog
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.problem import Measured, make_evaluator, make_problem
from experiments.stages.recorder import Recorder
from experiments.stages.resource_budget import DecidedBudget
from experiments.stages.resume import read_evaluations
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.store import Store
from hardware.stored_device import StoredDevice
from quant.sensitivities import SensitivityTable

__all__ = ["Place", "Subject", "run_job"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where jobs are done."""

    folder: Path
    """Has a folder for each job."""
    device: Device
    store: Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What the jobs of one seed search for."""

    setup: NetworkSetup
    sensitivity: SensitivityTable
    times: SharedTimes


def run_job(job: Job, base: RunConfig, subject: Subject, place: Place) -> Row:
    """Search, time and retrain the answer; a job that was stopped goes on where it was.

    Args:
        job: Method, seed and budget.
        base: Everything else.
        subject: Network and measured times of the job's seed.
        place: Device, store and folders.

    Raises:
        BitAllocError: the search cannot go on.
        HardwareLostError: the device is gone.
    """
    budget = Budget(latency_ms=subject.times.budget_ms(job.budget))
    config = replace(base, method=job.method, seed=job.seed)
    found, used = _search(job, config, budget, subject, place)
    error, answer = "", None
    timed = first_inside(found.candidates, budget, subject.setup, place.device)
    if timed is not None:
        answer = answer_of(timed, subject.setup, config, place.store)
    elif not found.candidates:
        error = "the search found no allocation inside the budget"
    else:
        error = "no candidate was inside the budget when timed again"
    assert budget.latency_ms is not None
    return Row(
        method=job.method,
        seed=job.seed,
        budget=job.budget,
        budget_ms=budget.latency_ms,
        answer=answer,
        evaluations=used.evaluations,
        training_samples=used.training_samples,
        device_s=used.device_s,
        wall_s=used.wall_s,
        looked_up=used.looked_up,
        error=error,
    )


def _search(
    job: Job, config: RunConfig, budget: Budget, subject: Subject, place: Place
) -> tuple[SearchResult, Accounting]:
    path = place.folder / job.name
    path.mkdir(parents=True, exist_ok=True)
    folder, state = RunFolder(path), SharedWeights(path)
    past = read_evaluations(path / "evaluations.jsonl")
    measured = Measured(
        table=subject.times.table,
        sensitivity=subject.sensitivity,
        decided=DecidedBudget(budget=budget, reason=f"{100 * job.budget:g} % of the way to all-8"),
    )
    handler = folder.open_log()
    try:
        with EventLog(folder.events) as events:
            recorder = Recorder(
                folder=folder,
                events=events,
                progress=LiveProgress(quiet=True),
                table=measured.table,
                limit=config.evaluations,
                budget=budget,
                reward_config=config.reward,
                past=past,
            )
            started = time.monotonic()
            stored = StoredDevice(place.device, place.store, config.protocol)
            evaluator, reference = make_evaluator(
                config, subject.setup, stored, past, place.store, state, recorder
            )
            problem = make_problem(
                config,
                subject.setup,
                measured,
                evaluator,
                reference,
                place.store,
                LiveProgress(quiet=True),
                folder.events,
                state.policy_folder,
            )
            try:
                result = METHODS[job.method](problem, seed=job.seed)
            except BudgetError:
                result = SearchResult(candidates=())
            wall_s = spent_s(past) + time.monotonic() - started
            return result, account(evaluator.evaluations, problem.ledger, wall_s)
    finally:
        folder.close_log(handler)
