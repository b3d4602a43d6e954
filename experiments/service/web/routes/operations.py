"""What an operator's tools ask: boards, version, health, metrics."""

import time
from collections import Counter
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response

from experiments.record.run_record import RunRecord
from experiments.service.store.job import Fault, Job, State
from experiments.service.store.tokens import Role, Who
from experiments.service.web.caller import Asked, Caller
from experiments.service.web.metrics import MEDIA_TYPE, Metrics
from experiments.service.web.problem import RESPONSES
from experiments.service.web.service import Service
from experiments.service.web.views import BoardList, BoardView, HealthView, VersionView
from experiments.service.work.admission import CLUSTER, NO_BOARDS, THIS_MACHINE
from experiments.service.work.command_lines import run_of
from hardware.tracker import TrackedKey
from quant.errors import BitAllocError

routes = APIRouter(tags=["operations"], responses=RESPONSES)
_OLD_S = 15.0
"""Of the supervisor's last look; it looks five times a second."""


@routes.get("/healthz")
def healthz() -> HealthView:
    """Say that the process answers; needs no token."""
    return HealthView(ready=True, reasons=[])


@routes.get("/readyz", responses={503: {"model": HealthView}})
def readyz(asked: Asked, who: Caller, response: Response) -> HealthView:
    """Say whether jobs can be done: the store can be written, and the supervisor looks."""
    reasons = []
    try:
        with asked.database.writing():
            pass
    except BitAllocError as error:
        reasons.append(error.message)
    if time.monotonic() - asked.supervisor.last_look_s > _OLD_S:
        reasons.append("the supervisor has not looked for a while")
    if asked.boards.error:
        reasons.append(asked.boards.error)
    response.status_code = 503 if reasons else 200
    return HealthView(ready=not reasons, reasons=reasons)


@routes.get("/v1/version")
def version_of(who: Caller) -> VersionView:
    """Return what answers."""
    return VersionView(version=version("bitalloc"))


@routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, who: Caller) -> Response:
    """Return counters as Prometheus reads them."""
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(), media_type=MEDIA_TYPE)


@routes.get("/v1/boards")
def boards(asked: Asked, who: Caller) -> BoardList:
    """List where jobs can run: this machine, a Ray cluster, and the tracker's boards."""
    jobs = asked.jobs.find(states=[state for state in State if not state.over])
    newest = {job.target: job for job in asked.jobs.newest()}
    targets = {item.key: item for item in asked.boards.keys}
    others = [THIS_MACHINE, *([CLUSTER] if asked.settings.allowed.ray else [])]
    for key in (*others, *(job.target for job in jobs)):
        targets.setdefault(key, TrackedKey(key=key, addresses=(), free=0, waiting=0))
    first = sorted(targets, key=lambda key: key not in others)
    return BoardList(
        boards=[
            _board(
                targets[key],
                [job for job in jobs if job.target == key],
                newest.get(key),
                asked,
                who,
            )
            for key in first
        ],
        error=asked.boards.error,
    )


def _board(
    item: TrackedKey, jobs: list[Job], newest: Job | None, asked: Service, who: Who
) -> BoardView:
    states = Counter(job.state for job in jobs)
    holder = next((job for job in jobs if job.state is State.RUNNING), None)
    may_see = holder is not None and (who.role is Role.OPERATOR or holder.user == who.name)
    lost = newest is not None and newest.fault is Fault.HARDWARE
    last = asked.jobs.last_evaluation(item.key)
    return BoardView(
        key=item.key,
        addresses=list(item.addresses),
        free=item.free if item.key not in NO_BOARDS else int(holder is None),
        waiting=item.waiting,
        job=holder.id if holder is not None and may_see else None,
        user=holder.user if holder is not None else None,
        queued=states[State.QUEUED] + states[State.WAITING_FOR_BOARD],
        facts=_facts(newest, asked),
        hottest_c=None if last is None else last.document.get("hottest_c"),
        health=newest.reason if newest is not None and lost else "",
    )


def _facts(job: Job | None, asked: Service) -> dict[str, Any]:
    if job is None:
        return {}
    try:
        found: dict[str, Any] = RunRecord(run_of(job, asked.folder)).environment.get("device", {})
    except BitAllocError:
        return {}
    return found
