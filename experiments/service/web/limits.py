"""Limits: bodies that are too large or too slow end a request, and each one is counted."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from experiments.service.settings import Limits
from experiments.service.web.metrics import Metrics
from experiments.service.web.problem import problem

_UPLOADS = ("/v1/data", "/v1/networks")
_TOO_LARGE, _TOO_SLOW = 413, 408
_logger = logging.getLogger(__name__)


class Limited:
    """An application whose requests are bounded, counted and written to the log."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        """Put limits before an application."""
        self._app, self._limits, self._metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most_bytes(scope)
        send = self._counting(scope, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > most:
            refusal = problem(*_too_large(most), headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive, most), send)

    def _most_bytes(self, scope: Scope) -> int:
        limits = self._limits
        return limits.upload_bytes if scope["path"] in _UPLOADS else limits.body_bytes

    def _bounded(self, receive: Receive, most: int) -> Receive:
        size, more = 0, True

        async def bounded() -> Message:
            nonlocal size, more
            if not more:  # what comes now is the end of the connection, which may take a while
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._limits.body_s)
            except TimeoutError:
                raise HTTPException(
                    _TOO_SLOW, "the request's body came too slowly", {"Connection": "close"}
                ) from None
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > most:
                raise HTTPException(*_too_large(most), {"Connection": "close"})
            return message

        return bounded

    def _counting(self, scope: Scope, send: Send) -> Callable[[Message], Awaitable[None]]:
        started = time.perf_counter()

        async def counting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - started
                route = getattr(scope.get("route"), "path", "other")
                status = str(message["status"])
                self._metrics.http_seconds.labels(scope["method"], route, status).observe(seconds)
                _logger.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": message["status"],
                        "user": scope.get("state", {}).get("user", ""),
                        "ms": round(1000 * seconds, 2),
                    },
                )
            await send(message)

        return counting


def _too_large(most: int) -> tuple[int, str]:
    return _TOO_LARGE, f"expected a body of at most {most:,} bytes, found more"
