"""The pages: sign in, the jobs and where they run, one job as it goes on, and a form."""

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, RedirectResponse, Response

from agents.methods import METHODS
from env.tasks.networks.catalogue import NETWORKS
from env.tasks.task_config import IMAGE_FOLDER
from experiments.service.errors import NoTokenError, QuotaError, ServiceError
from experiments.service.store.job import WAITING, Job, State
from experiments.service.store.tokens import Role, Who
from experiments.service.web.artifacts import Artifacts
from experiments.service.web.caller import COOKIE, Asked, Gate, caller, check_same_origin, own_job
from experiments.service.web.pages.rendering import Runs, page, script
from experiments.service.web.routes import jobs as api
from experiments.service.web.routes import operations
from experiments.service.web.service import Service
from experiments.service.work.admission import CLUSTER, SHARED, THIS_MACHINE
from experiments.service.work.command_lines import run_of
from experiments.service.work.requests import ExportRequest, SearchRequest
from hardware.board_presets import PRESETS
from quant.errors import BitAllocError

_MADE_HERE = ("digits", "mnist1d", "mnist1d-images")
"""Tasks that need no file."""
_SIMULATED = "simulated"
_SHOWN = 200
_DAY_S = 86400
_SEE_OTHER = 303
_UNPROCESSABLE = 422


class _SignInError(Exception):
    """Raised where a page is asked for by nobody."""


class PageRoute(APIRoute):
    """Answers refusals with a page, and whom nobody knows with the way in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                return await answer(request)
            except _SignInError:
                return RedirectResponse("/signin", _SEE_OTHER)
            except BitAllocError as error:
                status = error.status if isinstance(error, ServiceError) else _UNPROCESSABLE
                return page("error.html", status, error=error.message, hint=error.hint)

        return with_pages


routes = APIRouter(include_in_schema=False, route_class=PageRoute)


def _visitor(request: Request) -> Who:
    try:
        return caller(request, None)
    except (NoTokenError, QuotaError):
        raise _SignInError from None


Visitor = Annotated[Who, Depends(_visitor)]


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form of ours."""
    check_same_origin(request)
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[0].strip() for name, values in parse_qs(body).items()}


Form = Annotated[Mapping[str, str], Depends(_form)]


@routes.get("/signin")
def sign_in() -> Response:
    """Ask for a token."""
    return page("sign_in.html")


@routes.post("/signin")
def signed_in(request: Request, form: Form) -> Response:
    """Keep a token that is good in a cookie that no script can read."""
    gate: Gate = request.app.state.gate
    token = form.get("token", "")
    try:
        gate.check(token, request.client.host if request.client else "")
    except BitAllocError as error:
        return page("sign_in.html", 401, error=error.message)
    answer = RedirectResponse("/", _SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=30 * _DAY_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@routes.post("/signout")
def sign_out(form: Form) -> Response:
    """Forget the token."""
    answer = RedirectResponse("/signin", _SEE_OTHER)
    answer.delete_cookie(COOKIE)
    return answer


@routes.get("/page.js")
def page_script(who: Visitor) -> Response:
    """Return the pages' one script."""
    return Response(script(), media_type="text/javascript")


@routes.get("/")
def show_jobs(asked: Asked, who: Visitor) -> Response:
    """Show the newest jobs, where they run, and a form for the next one."""
    return _jobs_page(asked, who)


@routes.post("/submit")
def submit(asked: Asked, who: Visitor, form: Form) -> Response:
    """Hand in what the form says, and the export of its answer where times are real."""
    try:
        request = _search_of(form)
        job = _add(asked, who, request)
        if not job.simulated:
            _add(asked, who, ExportRequest(kind="export", of=job.id, id=f"{job.id}-bundle"))
    except ValidationError as error:
        first = error.errors()[0]
        return _jobs_page(asked, who, f"{first['loc'][-1]}: {first['msg']}", form)
    except BitAllocError as error:
        return _jobs_page(asked, who, str(error), form)
    return RedirectResponse(f"/jobs/{job.id}", _SEE_OTHER)


@routes.get("/jobs/{id}")
def show_job(id: str, request: Request, asked: Asked, who: Visitor) -> Response:
    """Show a job, and its run as it is now."""
    job = own_job(asked, id, who)
    artifacts: Artifacts = request.app.state.artifacts
    runs: Runs = request.app.state.runs
    return page(
        "job.html",
        who=who,
        job=job,
        run=runs.draw(run_of(job, asked.folder)) if job.kind in ("search", "evaluate") else "",
        files=artifacts.all_of(asked.folder.job(job.id)) if job.state.over else [],
        children=asked.jobs.of(job.id),
        others=_others(asked, job),
        request=json.dumps(job.request, indent=2),
    )


def _others(asked: Service, job: Job) -> int:
    """Return how many other jobs want or have what a waiting job waits for; else 0."""
    if job.state not in WAITING:
        return 0
    unfinished = asked.jobs.find(states=[*WAITING, State.RUNNING])
    return sum(other.target == job.target for other in unfinished) - 1


@routes.post("/jobs/{id}/cancel")
def cancel(id: str, asked: Asked, who: Visitor, form: Form) -> Response:
    """End a job."""
    api.cancel(id, asked, who)
    return RedirectResponse(f"/jobs/{id}", _SEE_OTHER)


@routes.post("/jobs/{id}/delete")
def delete(id: str, asked: Asked, who: Visitor, form: Form) -> Response:
    """Delete a job that is over."""
    try:
        api.delete(id, asked, who)
    except BitAllocError as error:
        return _jobs_page(asked, who, str(error))
    return RedirectResponse("/", _SEE_OTHER)


@routes.get("/jobs/{id}/files.zip")
def files_as_one(id: str, request: Request, asked: Asked, who: Visitor) -> Response:
    """Return all files of a job as one."""
    job = own_job(asked, id, who)
    artifacts: Artifacts = request.app.state.artifacts
    folder = asked.folder.job(job.id)
    descriptor, made = tempfile.mkstemp(suffix=".zip")
    with (
        open(descriptor, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for item in artifacts.all_of(folder):
            archive.write(artifacts.find(folder, item.name), f"{job.id}/{item.name}")
    return FileResponse(made, filename=f"{job.id}.zip", background=BackgroundTask(os.unlink, made))


def _jobs_page(
    asked: Service, who: Who, error: str = "", given: Mapping[str, str] | None = None
) -> Response:
    boards = operations.boards(asked, who)
    filled = _Given(given or {})
    targets = [THIS_MACHINE, _SIMULATED, *(board.key for board in boards.boards)]
    return page(
        "jobs.html",
        _UNPROCESSABLE if error else 200,
        who=who,
        error=error,
        given=filled,
        jobs=asked.jobs.newest_of(who.sees, _SHOWN),
        boards=boards,
        tensorboard=asked.tensorboard if who.role is Role.OPERATOR else "",
        tasks=[*_MADE_HERE, *sorted(asked.settings.allowed.folders)],
        networks=list(NETWORKS),
        methods=list(METHODS),
        presets=list(PRESETS),
        targets=list(dict.fromkeys([*targets, filled["target"] or THIS_MACHINE])),
    )


class _Given(dict[str, str]):
    """What a form had; nothing where it had nothing."""

    def __missing__(self, key: str) -> str:
        return ""


def _search_of(form: Mapping[str, str]) -> SearchRequest:
    """Return the search that a form asks for.

    Raises:
        ValidationError: the name is none.
    """
    settings: dict[str, Any] = {"method": form.get("method", "ppo")}
    settings["evaluations"] = _number(form.get("evaluations", "24"))
    if (task := form.get("task", _MADE_HERE[0])) in _MADE_HERE:
        settings["task.name"] = task
    else:
        settings |= {"task.name": IMAGE_FOLDER, "task.data": task}
    if network := form.get("network"):
        settings["task.network"] = network
    if ratio := form.get("ratio"):
        settings["budget.latency_ratio"] = _number(ratio)
    target = form.get("target", THIS_MACHINE)
    if target == _SIMULATED:
        settings["target.runner"] = _SIMULATED
    elif target == CLUSTER:
        settings |= {"target.runner": _SIMULATED, "train.ray": SHARED}
    elif target != THIS_MACHINE:
        settings |= {"target.board": form.get("board", "none"), "target.key": target}
    return SearchRequest(kind="search", id=form.get("id") or None, settings=settings)


def _number(text: str) -> int | float | str:
    """Return a number, or the text where it is none: the configuration says what it expects."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _add(asked: Service, who: Who, request: SearchRequest | ExportRequest) -> Job:
    return api.hand_in(request, asked, who)[0]
