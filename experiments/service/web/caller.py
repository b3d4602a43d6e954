"""Caller: who a request is from, by its token."""

import logging
import time
from collections import OrderedDict, deque
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from experiments.service.errors import NotAllowedError, NoTokenError, QuotaError
from experiments.service.store.job import Job
from experiments.service.store.tokens import Role, Tokens, Who
from experiments.service.web.service import Service

_logger = logging.getLogger(__name__)
_bearer = HTTPBearer(auto_error=False, description="A token of `bitalloc token create`.")
COOKIE = "bitalloc-token"
"""What a browser keeps a token in."""
_READING = ("GET", "HEAD")
_GUESSES = 20
"""Wrong tokens of one address within a minute; a right one is right at any time."""
_WINDOW_S = 60.0
_MOST = 10_000
"""Addresses that are remembered."""
_HINT = "the operator makes one: bitalloc token create NAME"


def service_of(request: Request) -> Service:
    """Return what a request is answered with."""
    service: Service = request.app.state.service
    return service


class Gate:
    """Checks tokens; an address that guesses is told to wait, and the log of it."""

    def __init__(self, tokens: Tokens) -> None:
        """Use the tokens of a store."""
        self._tokens = tokens
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._told_s = -_WINDOW_S

    def check(self, token: str, address: str) -> Who:
        """Return whose a token is.

        Raises:
            NoTokenError: it is nobody's.
            QuotaError: there were too many wrong ones from the address.
        """
        who = self._tokens.check(token)
        if who is not None:  # whoever else guesses behind the same address
            return who
        now, wrong = time.monotonic(), self._wrong.pop(address, deque())
        self._wrong[address] = wrong
        while wrong and now - wrong[0] > _WINDOW_S:
            wrong.popleft()
        wrong.append(now)
        if len(self._wrong) > _MOST:
            self._wrong.popitem(last=False)
        if len(wrong) <= _GUESSES:
            raise NoTokenError("this token is unknown, has expired or was revoked", _HINT)
        wrong.popleft()
        if now - self._told_s > _WINDOW_S:
            self._told_s = now
            _logger.warning("somebody guesses tokens", extra={"address": address})
        raise QuotaError("too many wrong tokens from this address", "try again in a minute")


def caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Who:
    """Return who asks.

    Raises:
        NoTokenError: nobody who may.
    """
    token = credentials.credentials if credentials else request.cookies.get(COOKIE)
    if credentials is None and token and request.method not in _READING:
        check_same_origin(request)
    if not token:
        raise NoTokenError("expected a token (Authorization: Bearer TOKEN), found none", _HINT)
    gate: Gate = request.app.state.gate
    address = request.client.host if request.client else ""
    who = gate.check(token, address)
    request.state.user, request.state.token = who.name, token
    return who


def check_same_origin(request: Request) -> None:
    """Refuse what another site's page makes a browser send.

    Raises:
        NotAllowedError: it does not come from a page of ours.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "")
    host = request.headers.get("host", "")
    if site != "same-origin" if site else origin.partition("://")[2] != host:
        raise NotAllowedError("expected a request of the service's own page, found another's")


def own_job(service: Service, name: str, who: Who) -> Job:
    """Return a job that the caller may see.

    Raises:
        NoJobError: there is none.
    """
    return service.jobs.get(name, who.sees)


def check_operator(who: Who) -> None:
    """Refuse everybody else.

    Raises:
        NotAllowedError: the caller is no operator.
    """
    if who.role is not Role.OPERATOR:
        raise NotAllowedError(f"expected an operator's token, found that of the user {who.name}")


Asked = Annotated[Service, Depends(service_of)]
Caller = Annotated[Who, Depends(caller)]
