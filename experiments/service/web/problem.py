"""Problems: every refusal as RFC 9457 has it, with the one sentence and what helps."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from experiments.service.errors import ServiceError
from experiments.service.store.job import Fault
from quant.errors import BitAllocError

MEDIA_TYPE = "application/problem+json"
_UNPROCESSABLE = 422
_INTERNAL = 500
_SHOWN_ERRORS = 5
_logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="One sentence: what was expected, and what was found.")
    hint: str = Field(description="What helps; may be empty.")
    fault: Fault = Field(description="Whose it is: the user's, the service's, or the hardware's.")


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Refused.",
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
}


def problem(
    status: int, detail: str, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return a refusal."""
    fault = Fault.USER if status < _INTERNAL else Fault.SERVICE
    said = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, hint=hint, fault=fault
    )
    # As ASCII: a request may quote what is no Unicode.
    content = json.dumps(said.model_dump(mode="json"))
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def refuse_as_problems(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""
    app.add_exception_handler(BitAllocError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_form)
    app.add_exception_handler(RecursionError, _of_depth)
    app.add_exception_handler(Exception, _of_defect)


def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, BitAllocError)
    status = error.status if isinstance(error, ServiceError) else _UNPROCESSABLE
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = "30"
    return problem(status, error.message, error.hint, headers)


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _of_form(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(
        _UNPROCESSABLE, _sentence(error.errors()), "the API's document: /v1/openapi.json"
    )


def _of_depth(request: Request, error: Exception) -> Response:
    return problem(_UNPROCESSABLE, "expected a document of a few levels, found very many")


def _sentence(errors: Sequence[Any]) -> str:
    said = []
    for item in errors[:_SHOWN_ERRORS]:
        where = ".".join(map(str, item.get("loc", ())[1:])) or "body"
        said.append(f"{where}: {item.get('msg', 'refused')}")
    return "; ".join(said)


def _of_defect(request: Request, error: Exception) -> Response:
    _logger.error("a defect", exc_info=error, extra={"path": request.url.path})
    return problem(_INTERNAL, "a defect of the service", "its log has the traceback")
