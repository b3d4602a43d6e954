"""/v1/jobs/ID/logs and /artifacts: files, whole or in ranges."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import FileResponse, Response

from experiments.service.errors import NotFoundError
from experiments.service.web.artifacts import Artifacts
from experiments.service.web.caller import Asked, Caller, own_job
from experiments.service.web.file_as_it_is import FileAsItIs
from experiments.service.web.problem import RESPONSES
from experiments.service.web.routes.jobs import Id
from experiments.service.web.views import ArtifactList

routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=RESPONSES)
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_RANGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": _BYTES}},
    206: {"description": "A range.", "content": {"application/octet-stream": _BYTES}},
    304: {"description": "The caller has it already."},
    416: {"description": "A range that is not in the file.", "content": {"text/plain": {}}},
    400: {"description": "A range that is none.", "content": {"text/plain": {}}},
}
_LOG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
    206: {"description": "A range.", "content": {"text/plain": {}}},
    416: {"description": "A range that is not in the file.", "content": {"text/plain": {}}},
    400: {"description": "A range that is none.", "content": {"text/plain": {}}},
}
_SAFE = {"X-Content-Type-Options": "nosniff"}


@routes.get("/{id}/logs", response_class=FileResponse, responses=_LOG)
def logs(id: Id, asked: Asked, who: Caller) -> Response:
    """Return what the job's process printed."""
    log = asked.folder.job(own_job(asked, id, who).id).log
    if not log.is_file():
        return Response(media_type="text/plain", headers=_SAFE)
    return FileAsItIs(log, media_type="text/plain", headers=_SAFE)


@routes.get("/{id}/artifacts")
def list_artifacts(id: Id, request: Request, asked: Asked, who: Caller) -> ArtifactList:
    """List the job's files."""
    artifacts: Artifacts = request.app.state.artifacts
    job = own_job(asked, id, who)
    return ArtifactList(artifacts=artifacts.all_of(asked.folder.job(job.id)))


@routes.get("/{id}/artifacts/{name:path}", response_class=FileResponse, responses=_RANGES)
def artifact(
    id: Id,
    name: str,
    request: Request,
    asked: Asked,
    who: Caller,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Fetch one of the job's files; its ETag is the SHA-256 of its content."""
    artifacts: Artifacts = request.app.state.artifacts
    path = artifacts.find(asked.folder.job(own_job(asked, id, who).id), name)
    try:
        now, sha256 = artifacts.state(path)
        headers = {"ETag": f'"{sha256}"', **_SAFE}
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        return FileAsItIs(
            path,
            media_type="application/octet-stream",
            filename=path.name,
            headers=headers,
            stat_result=now,
        )
    except FileNotFoundError:
        raise NotFoundError(f"the job has no file {name!r} any more") from None
