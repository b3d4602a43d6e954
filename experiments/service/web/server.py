"""The server: uvicorn on one socket, until it is asked to end."""

import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
import uvicorn

from experiments.errors import ConfigError
from experiments.service.web.app import make_app
from experiments.service.web.protocol import MOST_HEADER_BYTES, PatientProtocol
from experiments.service.web.service import Service

_BACKLOG = 1024
_GRACE_S = 10
_CONNECTIONS = 2_000
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """Where a server listens."""

    host: str
    port: int
    """0 takes any that is free."""
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False


class _Server(uvicorn.Server):
    """Ends its event streams when it is asked to end, which would wait for them else."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._service.streams.end()


def bind(listening: Listening) -> socket.socket:
    """Return the socket to serve on.

    Raises:
        ConfigError: the address is in use, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        return socket.create_server(
            (listening.host, listening.port), family=family, backlog=_BACKLOG
        )
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listening.host}:{listening.port}: {error.strerror or error}",
            "give another one: --port PORT, or stop what listens there",
        ) from None


def serve(service: Service, listening: Listening, place: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        make_app(service),
        http=PatientProtocol,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=listening.behind_proxy,
        forwarded_allow_ips="*" if listening.behind_proxy else None,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
    torch.set_num_threads(1)  # answers of the policy; jobs are timed on this machine
    server = _Server(config, service)
    _logger.info("serving", extra={"host": listening.host, "port": place.getsockname()[1]})
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it has ended
        server.run(sockets=[place])
    _logger.info("stopping")
