"""/v1/data and /v1/networks: files by the SHA-256 of their content."""

import hashlib
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect

from env.tasks.own_data.data_file import check_data_file
from experiments.service.errors import NoRoomError, RefusedError, ServiceError
from experiments.service.store.tokens import Who
from experiments.service.store.uploads import DATA, NETWORKS
from experiments.service.web.caller import Asked, Caller
from experiments.service.web.problem import RESPONSES
from experiments.service.web.service import Service
from experiments.service.web.views import UploadView
from quant.errors import BitAllocError
from quant.records.atomic_file import PART

routes = APIRouter(prefix="/v1", tags=["uploads"], responses=RESPONSES)
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_logger = logging.getLogger(__name__)
_LARGER = 8
"""How much larger than their file all arrays together may be."""


@routes.post("/data", status_code=201, openapi_extra=_FILE)
async def upload_data(
    request: Request,
    asked: Asked,
    who: Caller,
    format: Annotated[Literal["npz", "safetensors"], Query()] = "npz",
) -> UploadView:
    """Send arrays for the task `own`, which a job names as `task.data: sha256:...`.

    They are called `train_inputs`, `train_labels`, `test_inputs`, `test_labels`, and
    `search_inputs` and `search_labels` where that split should be one's own. Nothing in the file
    is executed, and objects of Python are refused.
    """
    most_bytes = _LARGER * asked.settings.limits.upload_bytes

    def check(file: Path) -> None:
        check_data_file(file, most_bytes)

    return await _receive(DATA, f".{format}", request, asked, who, check)


@routes.post("/networks", status_code=201, openapi_extra=_FILE)
async def upload_network(request: Request, asked: Asked, who: Caller) -> UploadView:
    """Send a float model in ONNX, which a job names as `task.model: sha256:...`.

    It is read when a job names it, and refused there if it has what we cannot take.
    """
    return await _receive(NETWORKS, ".onnx", request, asked, who, lambda file: None)


async def _receive(
    kind: str,
    suffix: str,
    request: Request,
    asked: Service,
    who: Who,
    check: Callable[[Path], None],
) -> UploadView:
    """Write a body to the disk as it comes; `check` raises where its content is refused."""
    digest, size = hashlib.sha256(), 0
    made = asked.folder.uploads(kind) / f"{PART}{secrets.token_hex(8)}{suffix}"
    try:
        with made.open("xb") as file:
            async for piece in request.stream():
                size += len(piece)
                digest.update(piece)
                file.write(piece)
        if not size:
            raise RefusedError("expected a file as the request's body, found nothing")
        await to_thread.run_sync(check, made)
        upload = asked.uploads.add(kind, made, digest.hexdigest(), suffix, who.name)
    except ClientDisconnect:
        raise RefusedError("the file ended early") from None
    except ServiceError:
        raise
    except BitAllocError as error:  # where it lies here is nothing to its owner
        raise RefusedError(error.message.replace(str(made), "the file"), error.hint) from None
    except OSError as error:
        _logger.exception("an upload cannot be kept")
        raise NoRoomError(
            f"the service cannot keep the file: {error.strerror or type(error).__name__}",
            "its operator makes room",
        ) from None
    finally:
        with suppress(OSError):
            made.unlink(missing_ok=True)
    return UploadView.of_upload(upload)
