"""/tensorboard: TensorBoard's own pages, handed on to operators."""

import httpx
from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from experiments.service.errors import BusyError
from experiments.service.web.caller import check_operator
from experiments.service.web.pages.routes import PageRoute, Visitor
from experiments.service.web.tensorboard import PREFIX

_HANDED_ON = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers of a request: no token, and no cookie."""
_HANDED_BACK = (
    *("content-type", "content-encoding", "content-length", "cache-control", "location"),
    *("content-security-policy", "x-content-type-options", "expires"),
)
_LIMIT_S = 60.0


def routes_to(address: str) -> APIRouter:
    """Return the routes to a TensorBoard.

    Args:
        address: Where it listens.
    """
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)
    client = httpx.AsyncClient(base_url=address, timeout=_LIMIT_S)

    @routes.api_route(PREFIX + "{rest:path}", methods=["GET", "POST"])
    async def hand_on(rest: str, request: Request, who: Visitor) -> Response:
        check_operator(who)  # it shows the runs of all users
        asked = client.build_request(
            request.method,
            httpx.URL(path=PREFIX + rest, query=request.url.query.encode()),
            headers={name: request.headers[name] for name in _HANDED_ON if name in request.headers},
            content=await request.body(),
        )
        try:
            found = await client.send(asked, stream=True)
        except httpx.TransportError:
            raise BusyError("TensorBoard does not answer yet", "try again in a minute") from None
        return StreamingResponse(
            found.aiter_raw(),
            found.status_code,
            {name: found.headers[name] for name in _HANDED_BACK if name in found.headers},
            background=BackgroundTask(found.aclose),
        )

    return routes
