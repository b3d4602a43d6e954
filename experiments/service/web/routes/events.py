"""/v1/jobs/ID/events: a page of events, or the stream of them as they come."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from experiments.service.errors import NoJobError
from experiments.service.store.job import Job
from experiments.service.store.jobs import Event
from experiments.service.web.caller import Asked, Caller, own_job
from experiments.service.web.problem import RESPONSES
from experiments.service.web.routes.jobs import LARGEST, Id
from experiments.service.web.service import Service
from experiments.service.web.streams import Page
from experiments.service.web.views import EventList, EventView

routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=RESPONSES)
STREAM = "text/event-stream"
_MOST = 500
_HEARTBEAT_S = 15.0
_NUMBER = rf"^[0-9]{{1,{len(str(LARGEST)) - 1}}}$"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@routes.get(
    "/{id}/events",
    response_model=EventList,
    responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}}},
)
async def events(
    id: Id,
    request: Request,
    asked: Asked,
    who: Caller,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
    last_event_id: Annotated[str | None, Header(pattern=_NUMBER)] = None,
) -> EventList | StreamingResponse:
    """Events after a number; with `Accept: text/event-stream`, these and all that come.

    A stream's ids are the events' numbers: `Last-Event-ID` goes on after one. It ends with an event
    called `end` once the job is over.
    """
    job = own_job(asked, id, who)
    if STREAM in request.headers.get("accept", ""):
        first = int(last_event_id) if last_event_id is not None else after
        stream = _stream(asked, job, request.state.token, first)
        opening = await anext(stream)  # raises here where there is no room
        return StreamingResponse(_with_first(opening, stream), media_type=STREAM, headers=_HEADERS)
    found = asked.jobs.events(job.number, after, limit)
    return EventList(
        events=[EventView.of_event(event) for event in found],
        over=job.state.over and len(found) < limit,
    )


async def _with_first(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


async def _stream(asked: Service, job: Job, token: str, after: int) -> AsyncIterator[str]:
    async with asked.streams.following(job.number) as woken:
        yield "retry: 2000\n\n"
        checked_s = time.monotonic()
        while not asked.streams.ending.is_set():
            if time.monotonic() - checked_s >= _HEARTBEAT_S:
                if asked.tokens.check(token) is None:  # expired or revoked meanwhile
                    return
                checked_s = time.monotonic()
            woken.clear()
            page = asked.streams.page(job.number, after, partial(_read, asked, job, after))
            for message in page.messages:
                yield message
            after = page.last
            if len(page.messages) == _MOST:
                continue
            if page.over:
                yield "event: end\ndata: {}\n\n"
                return
            try:
                await asyncio.wait_for(woken.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield ": still there\n\n"


def _read(asked: Service, job: Job, after: int) -> Page:
    try:
        now = asked.jobs.get(job.id)  # before its events, so that none is lost
        over = now.state.over or now.number != job.number
    except NoJobError:
        over = True
    found = asked.jobs.events(job.number, after, _MOST)
    return Page(
        messages=tuple(_message(event) for event in found),
        last=found[-1].number if found else after,
        over=over,
    )


def _message(event: Event) -> str:
    document = {"at_s": event.at_s, **event.document}
    return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(document)}\n\n"
