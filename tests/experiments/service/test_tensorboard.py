"""TensorBoard beside the server: operators see it under the server's address, others do not."""

import time
from pathlib import Path

import httpx
import psutil
import pytest

from experiments.service.web.caller import COOKIE
from tests.experiments.service.served import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_operators_see_tensorboard_and_it_ends_with_the_server(tmp_path: Path) -> None:
    with served(tmp_path / "service", "--tensorboard") as server:
        user = {"Cookie": f"{COOKIE}={server.new_token('ulf')}"}
        operator = {"Cookie": f"{COOKIE}={server.token}"}
        address = f"{server.url}/tensorboard/"
        until = time.monotonic() + 600
        while (page := httpx.get(address, headers=operator, timeout=60)).status_code == 503:
            assert time.monotonic() < until
            time.sleep(0.5)
        assert page.status_code == 200
        assert "TensorBoard" in page.text or "tf-tensorboard" in page.text
        plugins = httpx.get(f"{address}data/plugins_listing", headers=operator, timeout=60)
        assert "scalars" in plugins.json()
        assert httpx.get(f"{address}data/runs", headers=operator, timeout=60).json() == []
        assert httpx.get(address, headers=user).status_code == 403
        assert httpx.get(address).headers["location"] == "/signin"
        assert 'href="/tensorboard/"' in httpx.get(server.url, headers=operator).text
        assert 'href="/tensorboard/"' not in httpx.get(server.url, headers=user).text
        assert server.process is not None
        beside = psutil.Process(server.process.pid).children(recursive=True)
        assert beside
        server.kill()
        psutil.wait_procs(beside, timeout=60)
        assert not any(process.is_running() for process in beside)
