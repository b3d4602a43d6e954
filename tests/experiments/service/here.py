"""What a test has of the server in its own process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from experiments.service.client.client import Client
from experiments.service.web.service import Service

FOR_A_BOARD: Mapping[str, Any] = {"target": {"board": "rpi4", "key": "pi"}, "evaluations": 10}
"""Settings of a job that waits: nobody answers for its board."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """A server, and tokens for it."""

    service: Service
    url: str
    operator: str
    user: str

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        """Ask by a token, the user's by default; an empty one for none."""
        token = self.user if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= more.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, **{"timeout": 30, **more})

    def client(self, token: str | None = None) -> Client:
        """Return a client, the user's by default."""
        return Client(self.url, self.user if token is None else token)
