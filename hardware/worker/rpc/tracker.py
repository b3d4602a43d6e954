"""The tracker: which boards it knows, and a session with one of them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import rpc

from hardware.errors import BoardBusyError, BoardLostError
from hardware.worker.rpc.address import Address

_SERVER = "server:"
_LIMIT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedKey:
    """What a tracker knows of one key."""

    key: str
    addresses: tuple[str, ...]
    """Of the boards that are connected to it."""
    free: int
    """Boards that nobody uses."""
    waiting: int
    """Hosts that wait for one."""


def tracked_keys(address: Address) -> list[TrackedKey]:
    """Return every key of a tracker, by name.

    Raises:
        BoardLostError: the tracker does not answer.
    """
    return _keys(_connect(address), address)


def open_connection(address: Address) -> Any:
    """Return TVM's session with the board, or with a free board of the key.

    It may block for as long as nobody answers: call it where it can be killed.

    Raises:
        BoardBusyError: all boards of the key are in use.
        BoardLostError: nothing answers, or the tracker knows no such board.
    """
    with _answering(str(address)):
        if not address.key:
            return rpc.connect(address.host, address.port)
        tracker = _connect(address)
        known = {item.key: item for item in _keys(tracker, address)}
        found = known.get(address.key)
        if found is None or not found.addresses:
            others = ", ".join(key for key, item in known.items() if item.addresses) or "none"
            raise BoardLostError(
                f"expected a board registered as {address}, found none (keys with boards: {others})"
            )
        if not found.free:
            raise BoardBusyError(f"all {len(found.addresses)} boards of {address} are in use")
        tracker._sock.settimeout(None)
        return tracker.request(address.key, max_retry=1)


def _connect(address: Address) -> Any:
    with _answering(f"the tracker at {address.host}:{address.port}"):
        # TVM would try for a minute, and wait for ever for a tracker that hangs.
        socket.create_connection((address.host, address.port), _LIMIT_S).close()
        tracker = rpc.connect_tracker(address.host, address.port)
        tracker._sock.settimeout(_LIMIT_S)
        return tracker


def _keys(tracker: Any, address: Address) -> list[TrackedKey]:
    with _answering(f"the tracker at {address.host}:{address.port}"):
        summary = tracker.summary()
    addresses: dict[str, list[str]] = {key: [] for key in summary["queue_info"]}
    for server in summary["server_info"]:
        if server["key"].startswith(_SERVER):
            place = ":".join(str(part) for part in server["addr"] if part is not None)
            addresses.setdefault(server["key"].removeprefix(_SERVER), []).append(place)
    queues = summary["queue_info"]
    return [
        TrackedKey(
            key=key,
            addresses=tuple(places),
            free=queues.get(key, {}).get("free", 0),
            waiting=queues.get(key, {}).get("pending", 0),
        )
        for key, places in sorted(addresses.items())
    ]


@contextmanager
def _answering(who: str) -> Iterator[None]:
    """Turn the errors of a connection into one sentence that names the other side."""
    try:
        yield
    except BoardLostError:
        raise
    except (OSError, RuntimeError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BoardLostError(f"{who} does not answer: {line}") from None
