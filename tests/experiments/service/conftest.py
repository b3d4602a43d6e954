"""A real server on 127.0.0.1, in a thread of the tests' own process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from experiments.service.client.place import Place, remember
from experiments.service.settings import Allowed, Limits, ServiceSettings
from experiments.service.store.jobs import Quotas
from experiments.service.store.tokens import Role
from experiments.service.web.app import make_app
from experiments.service.web.protocol import MOST_HEADER_BYTES, PatientProtocol
from experiments.service.web.server import Listening, bind
from experiments.service.web.service import open_service
from tests.experiments.service.here import Here

_NOBODY = "127.0.0.1:1"
"""A tracker that never answers: jobs for boards wait, and no process is started."""


class _Quick(PatientProtocol):
    headers_s = 1.0


LIMITS = Limits(
    body_s=1.0,
    upload_bytes=1 << 20,
    streams=20,
    quotas=Quotas(queued=5, running=1, evaluations_a_day=1_000),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with lend(tmp_path_factory.mktemp("service"), LIMITS, _NOBODY) as here:
        yield here


@pytest.fixture
def known(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """The server, known to the client of this user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BITALLOC_SERVER", raising=False)
    monkeypatch.delenv("BITALLOC_TOKEN", raising=False)
    remember(Place(server=here.url, token=here.user))
    return here


@contextmanager
def lend(folder: Path, limits: Limits, tracker: str = "") -> Iterator[Here]:
    """Lend a server of a folder, in a thread of this process."""
    settings = ServiceSettings(folder=folder, allowed=Allowed(tracker=tracker), limits=limits)
    place = bind(Listening(host="127.0.0.1", port=0))
    with open_service(settings) as service:
        config = uvicorn.Config(
            make_app(service),
            http=_Quick,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            log_config=None,
            limit_concurrency=2_000,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([place],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Here(
            service=service,
            url=f"http://127.0.0.1:{place.getsockname()[1]}",
            operator=service.tokens.create("olga", Role.OPERATOR),
            user=service.tokens.create("ulf", Role.USER),
        )
        service.streams.end()
        server.should_exit = True
        thread.join()
