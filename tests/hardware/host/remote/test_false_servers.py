"""What listens at a board's address and is no board: one sentence, and soon."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hardware.errors import HardwareLostError
from hardware.host.remote.device import RpcDevice
from hardware.target import TargetConfig
from tests.hardware.host.remote.conftest import PROTOCOL


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """Accept connections and answer each with the same bytes; None: say nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
    for connection in held:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64), b"\xff" * 64, bytes(64)],
    ids=["mute", "nothing", "web", "ones", "zeros"],
)
@pytest.mark.parametrize("way", ["server", "tracker"])
def test_no_insides_of_ours_are_shown_and_nobody_waits_for_long(
    answer: bytes | None, way: str
) -> None:
    started = time.monotonic()
    with listening(answer) as port:
        place = {way: f"127.0.0.1:{port}", **({"key": "desk"} if way == "tracker" else {})}
        config = TargetConfig(board="same-cpu", reconnect_s=3.0, **place)  # type: ignore[arg-type]
        with RpcDevice(config, PROTOCOL) as device, pytest.raises(HardwareLostError) as lost:
            device.facts()
    said = str(lost.value)
    assert f"127.0.0.1:{port}" in said
    for inside in ("::", "object is not", "Traceback", "_M_", "NoneType"):
        assert inside not in said
    assert time.monotonic() - started < 50
