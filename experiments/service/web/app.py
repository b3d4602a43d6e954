"""The application: routes, limits and refusals of one service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from starlette.types import ASGIApp

from experiments.service.web.artifacts import Artifacts
from experiments.service.web.caller import Gate, caller
from experiments.service.web.limits import Limited
from experiments.service.web.metrics import Metrics
from experiments.service.web.pages import routes as pages
from experiments.service.web.pages import tensorboard
from experiments.service.web.pages.rendering import Runs
from experiments.service.web.problem import refuse_as_problems
from experiments.service.web.routes import allocate, events, files, jobs, operations, uploads
from experiments.service.web.service import Service

OPENAPI = "/v1/openapi.json"
_ABOUT = """
Jobs that find the bits of every layer of a network, on this machine or on boards. What a job does
is what the command of its kind does; its files are those that the command writes.
"""


def make_app(service: Service) -> ASGIApp:
    """Return what answers requests to a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.streams.begin()
        yield

    app = FastAPI(
        title="BitAlloc",
        version=version("bitalloc"),
        summary="Bit-widths by reinforcement learning, as a service",
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.gate = Gate(service.tokens)
    app.state.artifacts = Artifacts()
    app.state.metrics = Metrics(service)
    app.state.runs = Runs()
    refuse_as_problems(app)
    for module in (jobs, events, files, uploads, allocate, operations):
        app.include_router(module.routes)
    app.include_router(_document(app))
    app.include_router(pages.routes)
    if service.tensorboard:
        app.include_router(tensorboard.routes_to(service.tensorboard))
    return Limited(app, service.settings.limits, app.state.metrics)


def _document(app: FastAPI) -> APIRouter:
    routes = APIRouter(dependencies=[Depends(caller)])
    routes.add_api_route(OPENAPI, app.openapi, include_in_schema=False)
    return routes
