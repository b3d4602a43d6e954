"""/v1/jobs: hand in, list, look at, cancel, delete."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from experiments.service.errors import NotNowError
from experiments.service.store.job import WAITING, Fault, Job, State
from experiments.service.store.tokens import Role
from experiments.service.web.caller import Asked, Caller, own_job
from experiments.service.web.problem import RESPONSES
from experiments.service.web.views import JobList, JobView
from experiments.service.work.admission import document_of
from experiments.service.work.requests import JOB_ID, JobRequest

routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=RESPONSES)
Id = Annotated[str, Path(pattern=JOB_ID)]
_MOST_LISTED = 200
LARGEST = 2**53
"""Of numbers in addresses: all that JSON's readers agree on."""


@routes.post("", status_code=201, responses={200: {"model": JobView}})
def submit(request: JobRequest, asked: Asked, who: Caller, response: Response) -> JobView:
    """Hand in a job: 201 for a new one, 200 for the one that is there under the same id."""
    job, created = hand_in(request, asked, who)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobView.of_job(job)


def hand_in(request: JobRequest, asked: Asked, who: Caller) -> tuple[Job, bool]:
    """Add a job, and return it and whether it is new.

    A request that is asked again is not judged again: what it names may have gone since.

    Raises:
        BitAllocError: it is refused.
    """
    if request.id is not None:
        known = asked.jobs.known(who.name, document_of(request, request.id))
        if known is not None:
            return known, False
    new = asked.admission.admit(request, who.name, lambda name: own_job(asked, name, who))
    quotas = None if who.role is Role.OPERATOR else asked.settings.limits.quotas
    job, created = asked.jobs.add(new, quotas)
    if created:
        asked.tokens.log(who.name, "job handed in", job.id)
        asked.supervisor.wake()
    return job, created


@routes.get("")
def list_jobs(
    asked: Asked,
    who: Caller,
    state: Annotated[list[State] | None, Query(description="Only these.")] = None,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = _MOST_LISTED,
) -> JobList:
    """List one's jobs; an operator's list has everybody's."""
    found = asked.jobs.find(user=who.sees, states=state or (), after=after, limit=limit + 1)
    page = found[:limit]
    return JobList(
        jobs=[JobView.of_job(job) for job in page],
        next=page[-1].number if len(found) > limit else None,
    )


@routes.get("/{id}")
def look_at(id: Id, asked: Asked, who: Caller) -> JobView:
    """Look at a job."""
    return JobView.of_job(own_job(asked, id, who))


@routes.post("/{id}/cancel")
def cancel(id: Id, asked: Asked, who: Caller) -> JobView:
    """End a job; one that runs keeps what is finished, and is `cancelled` within seconds."""
    job = own_job(asked, id, who)
    if job.state.over:
        return JobView.of_job(job)
    asked.tokens.log(who.name, "job cancelled", job.id)
    return JobView.of_job(_cancelled(job, asked, who.name))


@routes.delete("/{id}", status_code=204)
def delete(id: Id, asked: Asked, who: Caller) -> None:
    """Delete a job that is over, with its files."""
    asked.forget(own_job(asked, id, who), who.name)


def _cancelled(job: Job, asked: Asked, by: str) -> Job:
    try:
        return asked.jobs.change(
            job,
            State.CANCELLED,
            only_from=WAITING,
            cancelled=True,
            reason=f"cancelled by {by}",
            hint="",
            fault=Fault.NONE,
        )
    except NotNowError:  # it runs, or has ended meanwhile
        job = asked.jobs.get(job.id)
        if not job.state.over:
            job = asked.jobs.change(job, cancelled=True)
            asked.supervisor.wake()
        return job
