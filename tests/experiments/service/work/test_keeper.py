"""The process beside a job's own: what it starts has no network where it should have none."""

import socket
import sys
from pathlib import Path

import pytest

from experiments.service.work.isolation import can_leave_network
from tests.experiments.service.work.keeping import keep

_TRIES = """
import os, socket, sys
here = socket.create_server(("127.0.0.1", 0))
socket.create_connection(here.getsockname(), 5).close()
print("own loopback", os.getuid(), flush=True)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).close()
    print("reached")
except OSError:
    print("not reached")
"""


@pytest.mark.parametrize("network", [False, True])
def test_a_job_has_a_network_or_its_own_loopback_alone(tmp_path: Path, network: bool) -> None:
    if not network and not can_leave_network():
        pytest.skip("this system allows no namespace without a network")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = str(outside.getsockname()[1])
        ended, printed = keep(tmp_path, [sys.executable, "-c", _TRIES, port], network=network)
    assert ended.exit_code == 0, printed
    assert printed.startswith("own loopback")
    assert ("not reached" in printed) == (not network)


def test_a_program_that_grows_beyond_its_memory_is_ended(tmp_path: Path) -> None:
    grows = "import time\nkept = bytearray(300_000_000)\ntime.sleep(60)"
    ended, _ = keep(tmp_path, [sys.executable, "-c", grows], memory_bytes=150_000_000)
    assert ended.why == "memory"
    assert ended.peak_bytes > 150_000_000
    assert ended.exit_code != 0
